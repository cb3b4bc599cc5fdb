package credentials_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// brokenToken is a way in which a token file is no token file.
type brokenToken struct {
	name  string
	spoil func(t *testing.T, path string)
	kind  credentials.Kind
	is    error
	want  []string // path stands for the file's path
}

var brokenTokens = []brokenToken{
	{
		name:  "missing",
		spoil: func(*testing.T, string) {},
		kind:  credentials.TokenUnreadable, is: fs.ErrNotExist,
		want: []string{"path", "no such file", "serviceAccountToken volume"},
	},
	{
		name: "dangling link",
		spoil: func(t *testing.T, path string) {
			check(t, os.Symlink("..data/token", path))
		},
		kind: credentials.TokenUnreadable, is: fs.ErrNotExist,
		want: []string{"path", "link to ..data/token"},
	},
	{
		name: "link in a circle",
		spoil: func(t *testing.T, path string) {
			check(t, os.Symlink(filepath.Base(path), path))
		},
		kind: credentials.TokenUnreadable,
		want: []string{"path", "too many"},
	},
	{
		name:  "a directory",
		spoil: func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o755)) },
		kind:  credentials.TokenUnreadable,
		want:  []string{"path", "is a directory", "mode d", "WebIdentity.TokenFile"},
	},
	{
		name: "below a file",
		spoil: func(t *testing.T, path string) {
			check(t, os.Remove(filepath.Dir(path)))
			write(t, filepath.Dir(path), "")
		},
		kind: credentials.TokenUnreadable,
		want: []string{"path", "not a directory"},
	},
	{
		name:  "empty",
		spoil: func(t *testing.T, path string) { write(t, path, "") },
		kind:  credentials.TokenMalformed,
		want:  []string{"path is empty", "serviceAccountToken volume"},
	},
	{
		name:  "white space",
		spoil: func(t *testing.T, path string) { write(t, path, " \r\n\t") },
		kind:  credentials.TokenMalformed,
		want:  []string{"path is empty"},
	},
	{
		name:  "garbage",
		spoil: func(t *testing.T, path string) { write(t, path, "\x00\xffnot a token") },
		kind:  credentials.TokenMalformed,
		want:  []string{"path: ", "3 parts", "WebIdentity.TokenFile"},
	},
	{
		name: "empty, behind a link",
		spoil: func(t *testing.T, path string) {
			write(t, path+".empty", "")
			check(t, os.Symlink(path+".empty", path))
		},
		kind: credentials.TokenMalformed,
		want: []string{"path (leads to ", ".empty) is empty"},
	},
	{
		name:  "1 MiB",
		spoil: func(t *testing.T, path string) { write(t, path, strings.Repeat("e", 1<<20)) },
		kind:  credentials.TokenMalformed,
		want:  []string{"path", "larger than 20000 bytes", "projected token"},
	},
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(content), 0o644))
}

// Whatever is wrong with the file is said before anything is sent, and mending
// the file is enough.
func TestTokenFileIsBroken(t *testing.T) {
	for _, row := range brokenTokens {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "serviceaccount")
			check(t, os.Mkdir(dir, 0o755))
			path := filepath.Join(dir, "token")
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				bait := baitInMemory(s)
				chain := s.hubChain(t, func(o *credentials.Options) {
					o.Source = credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: path}
				})
				row.spoil(t, path)
				_, err := chain.Retrieve(t.Context())
				if !errors.Is(err, row.kind) {
					t.Fatalf("got %v, want %v", err, row.kind)
				}
				if row.is != nil && !errors.Is(err, row.is) {
					t.Errorf("errors.Is(err, %v) is false", row.is)
				}
				for _, part := range row.want {
					if part = strings.Replace(part, "path", path, 1); !strings.Contains(err.Error(), part) {
						t.Errorf("the message lacks %q:\n%v", part, err)
					}
				}
				e, _ := errors.AsType[*credentials.Error](err)
				if e == nil || e.Hop != 1 || e.Operation != "read token file" || e.RoleARN != s.hub.ARN() || len(e.Fixes) == 0 {
					t.Errorf("%#v does not show hop, operation, role and fix", e)
				}
				if calls := s.cloud.Calls(); len(calls) > 0 {
					t.Errorf("requests were sent: %v", calls)
				}
				bait(t)

				check(t, os.RemoveAll(dir))
				check(t, os.Mkdir(dir, 0o755))
				write(t, path, s.blue.Token("default", "s3-shared-content"))
				if _, err := chain.Retrieve(t.Context()); err != nil {
					t.Errorf("after mending the file: %v", err)
				}
			})
		})
	}
}

// baitInMemory is bait for a bubble, where sockets have no place: every request
// goes to the cloud, which counts those to hosts that it does not know.
func baitInMemory(s *scene) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, call := range s.cloud.Calls() {
			if call.Operation == "" {
				t.Errorf("a request went elsewhere: %v", call)
			}
		}
	}
}

// Whoever writes the file in place, unlike kubelet, is not punished for the
// moment in which it is half written.
func TestTokenFileHalfWritten(t *testing.T) {
	for _, written := range []int{0, 1, 100} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			path := filepath.Join(t.TempDir(), "token")
			token := s.blue.Token("default", "s3-shared-content")
			write(t, path, token[:written])
			time.AfterFunc(50*time.Millisecond, func() { write(t, path, token) })
			chain := s.hubChain(t, func(o *credentials.Options) {
				o.Source = credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: path}
			})
			before := time.Now()
			if _, err := chain.Retrieve(t.Context()); err != nil {
				t.Errorf("%d bytes first: %v", written, err)
			}
			if took := time.Since(before); took > time.Second {
				t.Errorf("the re-reads took %v", took)
			}
		})
	}
}

func TestTokenFileWithWhiteSpaceAround(t *testing.T) {
	for _, around := range []struct{ before, after string }{{"", "\n"}, {"", "\r\n"}, {" \t", " \n\n"}} {
		s := newScene(t)
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, around.before+s.blue.Token("default", "s3-shared-content")+around.after)
		chain := s.hubChain(t, func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: s.hub.ARN(), TokenFile: path}
		})
		if _, err := chain.Retrieve(t.Context()); err != nil {
			t.Errorf("%q around the token: %v", around, err)
		}
	}
}

// The file is opened anew by its path: a token that kubelet swapped in is used
// although the old one is still valid.
func TestTokenFileIsReadAnew(t *testing.T) {
	s := newScene(t)
	chain := s.directChain(t)
	for range 3 {
		creds, err := chain.Retrieve(t.Context())
		check(t, err)
		chain.Invalidate(creds.AccessKeyID)
		s.pod.Rotate(func(token *trust.Token) { token.Subject = awstest.Subject("default", "somebody-else") })
		if _, err = chain.Retrieve(t.Context()); !errors.Is(err, credentials.TrustDenied) {
			t.Errorf("got %v, want %v for the new token", err, credentials.TrustDenied)
		}
		s.pod.Rotate()
	}
}

// A token that is not meant for this chain is seen before it is sent.
func TestTokenClaimsThatWereAskedFor(t *testing.T) {
	blue := "https://oidc.eks.us-east-1.amazonaws.com/id/BLUE"
	for _, row := range []struct {
		name             string
		issuer, audience string
		kind             credentials.Kind
		want             []string
	}{
		{"same", blue, "sts.amazonaws.com", "", nil},
		{"trailing slash", blue + "/", "", credentials.TokenRejected, []string{`"` + blue + `"`, `"` + blue + `/"`, "only a trailing slash"}},
		{"case", strings.ToLower(blue), "", credentials.TokenRejected, []string{"only upper and lower case"}},
		{"host", strings.Replace(blue, "us-east-1", "eu-west-1", 1), "", credentials.TokenRejected, []string{"only the host"}},
		{"cluster", strings.Replace(blue, "BLUE", "GREEN", 1), "", credentials.TokenRejected, []string{"another cluster"}},
		{"audience", "", "sts.amazonaws.com ", credentials.AudienceMismatch, []string{`["sts.amazonaws.com"]`, `"sts.amazonaws.com "`, "eks.amazonaws.com/audience"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScene(t)
			chain := s.hubChain(t, func(o *credentials.Options) {
				w := s.web()
				w.Issuer, w.Audience = row.issuer, row.audience
				o.Source = w
			})
			_, err := chain.Retrieve(t.Context())
			if row.kind == "" {
				check(t, err)
				return
			}
			if !errors.Is(err, row.kind) {
				t.Fatalf("got %v, want %v", err, row.kind)
			}
			for _, part := range row.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message lacks %q:\n%v", part, err)
				}
			}
			if calls := s.cloud.Calls(); len(calls) > 0 {
				t.Errorf("requests were sent: %v", calls)
			}
		})
	}
}
