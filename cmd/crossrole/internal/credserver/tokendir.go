package credserver

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// TokenDir is the directory in which programs find the authorization token of
// the role that they may use: one file per role, named after it.
type TokenDir struct {
	path string
	root *os.Root
	info fs.FileInfo
}

const tokenMode = 0o640

// A token is 32 random bytes in hex, without a newline: the SDKs send the file's content
// unchanged, and refuse a token of several lines.
var tokenPattern = lazyregexp.New(`^[0-9a-f]{64}$`)

// NewToken returns a new authorization token.
func NewToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// OpenTokenDir opens an existing directory. The caller must close it.
func OpenTokenDir(path string) (*TokenDir, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() { // opening a named pipe would wait for its writer
		return nil, fmt.Errorf("token directory: %q is not a directory", path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("token directory: %w; make it, or mount a volume there", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &TokenDir{path, root, info}, nil
}

// Close closes the directory; its files stay.
func (d *TokenDir) Close() error { return d.root.Close() }

// File returns the path of a role's token file.
func (d *TokenDir) File(role string) string { return filepath.Join(d.path, role) }

// Token returns the role's token: the one in its file, so that clients do not notice a
// restart, or a new one if there is no file yet.
func (d *TokenDir) Token(role string) (string, error) {
	token, err := d.read(role)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = d.create(role)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", d.File(role), err)
	}
	return token, nil
}

const removeFix = "remove it, or delete the pod with its volume; a new one is made at the next start"

// read refuses a file that another user could have created or read: anyone who knows the
// token can use the role.
func (d *TokenDir) read(name string) (string, error) {
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
		return "", errors.New("it was replaced while it was being opened; find out by whom, and start again")
	}
	if err := checkOwner(info); err != nil {
		return "", fmt.Errorf("%w; %s", err, removeFix)
	}
	if hasModes && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("its mode is %04o, so any user may have read it; %s", info.Mode().Perm(), removeFix)
	}
	b, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return "", err
	}
	if !tokenPattern().Match(b) {
		return "", fmt.Errorf("it holds no token of ours; %s", removeFix)
	}
	return string(b), d.permit(f, info)
}

// create writes the file under another name first, so that a reader always finds
// the complete token.
func (d *TokenDir) create(name string) (string, error) {
	temporary := "." + name + ".new"
	if err := d.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	// O_EXCL follows no symlink.
	f, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNoFollow, 0o600)
	if err != nil {
		return "", err
	}
	token := NewToken()
	_, err = f.WriteString(token)
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			err = d.permit(f, info)
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.root.Link(temporary, name) // unlike Rename, it replaces nothing
	}
	return token, errors.Join(err, d.root.Remove(temporary))
}

// permit lets the directory's group read the file. In a pod that is fsGroup, and all
// containers belong to it.
func (d *TokenDir) permit(f *os.File, info fs.FileInfo) error {
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
