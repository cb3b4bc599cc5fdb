package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// maxToken is STS's limit for WebIdentityToken, in bytes.
const maxToken = 20000

// rereads are the pauses between looks at a file that holds no token: whoever
// writes it in place, unlike kubelet, is done by then.
var rereads = []time.Duration{20 * time.Millisecond, 80 * time.Millisecond, 300 * time.Millisecond}

// readToken opens and reads a token file by its path, so that kubelet's swap of
// the ..data symlink is seen, and checks what it holds before anything is sent.
func readToken(ctx context.Context, path string) ([]byte, trust.Token, *Error) {
	for i := 0; ; i++ {
		raw, token, failure := readTokenOnce(path)
		if failure == nil || failure.Kind != TokenMalformed || i == len(rereads) {
			return raw, token, failure
		}
		select {
		case <-ctx.Done():
			return raw, token, failure
		case <-time.After(rereads[i]):
		}
	}
}

func readTokenOnce(path string) ([]byte, trust.Token, *Error) {
	fail := func(kind Kind, err error, fixes ...string) ([]byte, trust.Token, *Error) {
		return nil, trust.Token{}, &Error{Operation: "read token file", Kind: kind, Err: err, Fixes: fixes}
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(TokenUnreadable, fmt.Errorf("%w%s", err, describeFile(path)), unreadableFixes(err)...)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return fail(TokenUnreadable, fmt.Errorf("%w%s", err, describeFile(path)), unreadableFixes(err)...)
	}
	if len(raw) > maxToken {
		return fail(TokenMalformed, fmt.Errorf("%s%s is larger than %d bytes, STS's limit for a token", path, leadsTo(path), maxToken),
			"let "+envTokenFile+" or WebIdentity.TokenFile name the projected token")
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return fail(TokenMalformed, fmt.Errorf("%s%s is empty", path, leadsTo(path)),
			"check that the pod mounts a projected serviceAccountToken volume there")
	}
	token, err := trust.ParseToken(raw)
	if err != nil {
		return fail(TokenMalformed, fmt.Errorf("%s%s: %w", path, leadsTo(path), err),
			"let "+envTokenFile+" or WebIdentity.TokenFile name a projected service-account token")
	}
	return raw, token, nil
}

func unreadableFixes(err error) []string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []string{"set securityContext.fsGroup in the pod, so that kubelet gives the file to the container's group; the next call opens the file anew"}
	case errors.Is(err, fs.ErrNotExist):
		return []string{"check that the pod mounts a projected serviceAccountToken volume there (on EKS the webhook injects it when the pod is created)"}
	}
	return []string{"let " + envTokenFile + " or WebIdentity.TokenFile name the token's file itself"}
}

// describeFile says where a path leads, whose it is and who we are: what one
// would ask the person who reports that the token is unreadable. The groups are
// told because fsGroup is one of them.
func describeFile(path string) string {
	s := leadsTo(path)
	info, err := os.Stat(path)
	if err != nil {
		return s
	}
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // not on this platform
	}
	return s + fmt.Sprintf(" (mode %v%s; this process runs as uid %d, gid %d, groups %v)", info.Mode(), owner(info), os.Getuid(), os.Getgid(), groups)
}

// leadsTo tells where a link ends, or its own target if it ends nowhere.
func leadsTo(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if target == path {
			return ""
		}
		return " (leads to " + target + ")"
	}
	if target, err := os.Readlink(path); err == nil {
		return " (a link to " + target + ")"
	}
	return ""
}

// fileMark tells two states of a token file apart without reading it.
type fileMark struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
	missing  bool
}

func markFile(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{missing: true}
	}
	return fileMark{modified: info.ModTime(), size: info.Size(), mode: info.Mode()}
}
