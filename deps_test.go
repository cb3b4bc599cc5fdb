package crossrole_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
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

// TestNothingIsWrittenToAWS lists every operation of AWS that the library and the command
// call. They read from S3 and issue sessions, and change nothing. The command's own server
// of an in-memory AWS is awstest, which calls nothing.
func TestNothingIsWrittenToAWS(t *testing.T) {
	allowed := map[string][]string{
		"s3":  {"GetObject", "GetObjectAttributes", "HeadBucket", "HeadObject", "ListObjectsV2"},
		"sts": {"AssumeRole", "AssumeRoleWithWebIdentity"},
	}
	services := map[string]reflect.Type{"s3": reflect.TypeFor[*s3.Client](), "sts": reflect.TypeFor[*sts.Client]()}
	const sdk = "github.com/aws/aws-sdk-go-v2/service/"
	found := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"credentials", "s3reader", "trust", "cmd", "internal"} {
		files = append(files, sources(t, dir)...)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			service, is := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), sdk)
			service, _, _ = strings.Cut(service, "/")
			if is && services[service] == nil {
				t.Errorf("%s imports %s: list its operations here that change nothing", path, spec.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			for name, client := range services {
				m, ok := client.MethodByName(call.Sel.Name)
				if !ok || m.Type.NumIn() < 3 || m.Type.In(1) != reflect.TypeFor[context.Context]() {
					continue // no operation
				}
				found[call.Sel.Name] = true
				if !slices.Contains(allowed[name], call.Sel.Name) {
					t.Errorf("%s calls %s of %s", path, call.Sel.Name, name)
				}
			}
			return true
		})
	}
	for service, operations := range allowed {
		for _, operation := range operations {
			if !found[operation] {
				t.Errorf("%s of %s is never called: remove it from the list", operation, service)
			}
		}
	}
}
