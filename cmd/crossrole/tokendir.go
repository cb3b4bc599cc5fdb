package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// tokenDir is the directory in which programs find the authorization token of
// the role that they may ask for: a file for each role, named after it.
type tokenDir struct {
	path string
	root *os.Root
	info fs.FileInfo
}

const tokenMode = 0o640

// A token is 32 random bytes in hex, without a line's end: the SDKs send the
// file as it is, and refuse one that has several lines.
var tokenPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func newToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func openTokenDir(path string) (*tokenDir, error) {
	if err := checkDir(path); err != nil {
		return nil, fmt.Errorf("token directory: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("token directory: %w; make it, or mount a volume there", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &tokenDir{path, root, info}, nil
}

func (d *tokenDir) Close() error { return d.root.Close() }

func (d *tokenDir) file(name string) string { return filepath.Join(d.path, name) }

// token is the role's token: the one that stands there since an earlier start,
// so that a restart goes unnoticed, or a new one.
func (d *tokenDir) token(name string) (string, error) {
	token, err := d.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = d.create(name)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", d.file(name), err)
	}
	return token, nil
}

const removeFix = "remove it, or delete the pod with its volume; a new one is made at the next start"

// read takes no file that another could have made or read: a known token would
// be a way to the role.
func (d *tokenDir) read(name string) (string, error) {
	listed, err := d.root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !listed.Mode().IsRegular() {
		return "", fmt.Errorf("it is no regular file but %s; %s", listed.Mode().Type(), removeFix)
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !os.SameFile(listed, info) {
		return "", errors.New("it was exchanged while it was opened; find out by whom, and start again")
	}
	if err := checkOwner(info); err != nil {
		return "", fmt.Errorf("%w; %s", err, removeFix)
	}
	if hasModes && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("its mode is %04o, so that everybody may have read it; %s", info.Mode().Perm(), removeFix)
	}
	b, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return "", err
	}
	if !tokenPattern.Match(b) {
		return "", fmt.Errorf("it holds no token of ours; %s", removeFix)
	}
	return string(b), d.permit(f, info)
}

// create writes the file under another name first, so that a reader always finds
// the complete token.
func (d *tokenDir) create(name string) (string, error) {
	beside := "." + name + ".new"
	if err := d.root.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// O_EXCL follows no symlink.
	f, err := d.root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNoFollow, 0o600)
	if err != nil {
		return "", err
	}
	token := newToken()
	_, err = f.WriteString(token)
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			err = d.permit(f, info)
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.root.Link(beside, name) // unlike Rename, it replaces nothing
	}
	return token, errors.Join(err, d.root.Remove(beside))
}

// permit lets the directory's group read the file: in a pod that is fsGroup,
// which all its containers belong to.
func (d *tokenDir) permit(f *os.File, info fs.FileInfo) error {
	if !hasModes {
		return nil
	}
	if err := chownToGroup(f, info, d.info); err != nil {
		return fmt.Errorf("give it to the directory's group: %w; set the pod's fsGroup, or run as a member of that group", err)
	}
	if info.Mode().Perm() == tokenMode {
		return nil
	}
	return f.Chmod(tokenMode)
}
