package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// The flag and its variable put the bucket into the path, in every command that
// reads one. The store's name is reached through a proxy, which records it.
func TestPathStyle(t *testing.T) {
	_, vars := newFakePod(t, t.TempDir())
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Host+r.URL.Path)
		fmt.Fprint(w, `<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
	}))
	defer proxy.Close()
	vars = append(vars, "AWS_ENDPOINT_URL_S3=http://objects.eu.store.example", "HTTP_PROXY="+proxy.URL, "PATH="+os.Getenv("PATH"))
	for _, tt := range []struct {
		variable string
		args     []string
		want     string // empty: wrong usage
	}{
		{"", nil, "pics.objects.eu.store.example/"},
		{"", []string{"--path-style"}, "objects.eu.store.example/pics"},
		{"true", nil, "objects.eu.store.example/pics"},
		{"1", nil, "objects.eu.store.example/pics"},
		{"false", nil, "pics.objects.eu.store.example/"},
		{"true", []string{"--path-style=false"}, "pics.objects.eu.store.example/"},
		{"maybe", nil, ""},
	} {
		commands := [][]string{{"ls", "s3://pics"}, {"ls", "-r", "s3://pics"}, {"cp", "-r", "s3://pics", t.TempDir()}, {"doctor", "--bucket", "pics"}}
		if len(tt.args) == 0 {
			commands = commands[:1] // the flag is the same in all, and so is what reads the variable
		}
		for _, command := range commands {
			mu.Lock()
			asked = nil
			mu.Unlock()
			cmd := exec.CommandContext(t.Context(), "crossrole", append(slices.Clone(command), tt.args...)...)
			cmd.Env = append(slices.Clone(vars), "CROSSROLE_PATH_STYLE="+tt.variable)
			out, err := cmd.CombinedOutput()
			if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
				t.Fatal(err)
			}
			if tt.want == "" {
				if cmd.ProcessState.ExitCode() != 2 {
					t.Errorf("%q with %q: exit status %d\n%s", command, tt.variable, cmd.ProcessState.ExitCode(), out)
				}
				continue
			}
			mu.Lock()
			asked := slices.Clone(asked)
			mu.Unlock()
			if len(asked) == 0 || asked[0] != tt.want && asked[0] != tt.want+"/" {
				t.Errorf("%q %q with %q: asked %q, want %s\n%s", command, tt.args, tt.variable, asked, tt.want, out)
			}
		}
	}
}
