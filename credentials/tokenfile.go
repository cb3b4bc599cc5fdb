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

// The settings that may name a token file, for fixes.
const (
	webTokenSetting   = envTokenFile + " or WebIdentity.TokenFile"
	agentTokenSetting = envPodIdentityFile + " or PodIdentity.TokenFile"
)

func readTokenOnce(path string) ([]byte, trust.Token, *Error) {
	raw, failure := readTokenFile(path, webTokenSetting)
	if failure != nil {
		return nil, trust.Token{}, failure
	}
	token, err := trust.ParseToken(raw)
	if err != nil {
		return nil, trust.Token{}, fileError(TokenMalformed, fmt.Errorf("%s%s: %w", path, leadsTo(path), err),
			"let "+webTokenSetting+" name a projected service-account token")
	}
	return raw, token, nil
}

// readTokenFile reads a file that should hold a token, without the white space
// around it. setting is what names the file.
func readTokenFile(path, setting string) ([]byte, *Error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, unreadable(path, setting, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return nil, unreadable(path, setting, err)
	}
	if len(raw) > maxToken {
		return nil, fileError(TokenMalformed, fmt.Errorf("%s%s is larger than %d bytes, STS's limit for a token", path, leadsTo(path), maxToken),
			"let "+setting+" name the projected token")
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, fileError(TokenMalformed, fmt.Errorf("%s%s is empty", path, leadsTo(path)), mountFix)
	}
	return raw, nil
}

// openRegular opens a regular file for reading, after links. It does not wait for
// the writer of a pipe or for a device, and neither does reading from the file.
func openRegular(path string) (*os.File, error) {
	// Opening a device may have effects of its own: look first.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(path, info)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() { // it was replaced meanwhile
		err = notRegular(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	// Some files of /proc are regular by name only, and block their readers.
	_ = f.SetReadDeadline(time.Now().Add(readWait)) // os.ErrNoDeadline: a true regular file
	return f, nil
}

// readWait is how long a read of a token file may take where the system can tell.
const readWait = time.Second

func notRegular(path string, info fs.FileInfo) error {
	what := "neither a regular file nor a link to one"
	switch mode := info.Mode(); {
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	}
	return &fs.PathError{Op: "open", Path: path, Err: errors.New("it is " + what + "; want a regular file")}
}

const mountFix = "check that the pod mounts a projected serviceAccountToken volume there (on EKS it is injected when the pod is created)"

func fileError(kind Kind, err error, fix string) *Error {
	return &Error{Operation: "read token file", Kind: kind, Err: err, Fixes: []string{fix}}
}

func unreadable(path, setting string, err error) *Error {
	fix := "let " + setting + " name the token's file itself"
	switch {
	case errors.Is(err, fs.ErrPermission):
		fix = "set securityContext.fsGroup in the pod, so that kubelet gives the file to the container's group; the next call opens the file anew"
	case errors.Is(err, fs.ErrNotExist):
		fix = mountFix
	}
	return fileError(TokenUnreadable, fmt.Errorf("%w%s", err, describeFile(path)), fix)
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

// fileMark tells two states of a token file apart without reading it. The file's
// identity is part of it: kubelet may swap in another token of the same size
// within one tick of the file system's clock, and a chown touches no time.
type fileMark struct {
	info  fs.FileInfo // nil: there is none, or none that can be seen
	owner string
}

func markFile(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{info, owner(info)}
}

func (m fileMark) equal(n fileMark) bool {
	if m.info == nil || n.info == nil {
		return m.info == nil && n.info == nil
	}
	return os.SameFile(m.info, n.info) && m.info.ModTime().Equal(n.info.ModTime()) &&
		m.info.Size() == n.info.Size() && m.info.Mode() == n.info.Mode() && m.owner == n.owner
}
