package crossrole_test

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// small lists the modules, apart from the SDK and smithy-go, that the library adds to
// a program, and why. At most three are allowed.
var small = map[string]string{
	"github.com/minio/crc64nvme":    "the checksum that S3 stores with every object, 50 times as fast as hash/crc64",
	"github.com/klauspost/cpuid/v2": "crc64nvme uses it to detect what the processor can do",
	"golang.org/x/sys":              "cpuid uses it on macOS",
}

func TestDependencies(t *testing.T) {
	if len(small) > 3 {
		t.Errorf("%d small modules are listed; at most 3 are allowed", len(small))
	}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./credentials", "./s3reader")
		list.Env = append(list.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		var stderr strings.Builder
		list.Stderr = &stderr
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", platform, err, &stderr)
		}
		modules := map[string]bool{}
		for path := range strings.Lines(string(out)) {
			modules[strings.TrimSpace(path)] = true
		}
		delete(modules, "") // the standard library
		for _, path := range slices.Sorted(maps.Keys(modules)) {
			switch {
			case path == "github.com/crossrole/crossrole":
			case path == "github.com/aws/smithy-go":
			case path == "github.com/aws/aws-sdk-go-v2", strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/"):
			case small[path] != "":
			default:
				t.Errorf("%s: credentials or s3reader depends on %s: remove the dependency, or add it to small with a reason", platform, path)
			}
		}
		// Only LoadConfig, in the root package, loads the SDK's configuration files.
		if modules["github.com/aws/aws-sdk-go-v2/config"] {
			t.Errorf("%s: credentials or s3reader depends on the SDK's config module, which only the root package may import", platform)
		}
		if !modules["github.com/aws/aws-sdk-go-v2/service/s3"] {
			t.Errorf("%s: go list printed no dependencies: %q", platform, out)
		}
	}
}
