package credentials

// The token: reading its file or calling its function, checking its claims before it is
// sent, detecting a new one; and the server's clock, by which a token expires.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/crossrole/crossrole/internal/redact"
	"github.com/crossrole/crossrole/internal/settings"
	"github.com/crossrole/crossrole/trust"
)

// maxToken is STS's limit for WebIdentityToken, in bytes.
const maxToken = 20000

// rereads are the pauses before a file that holds no token is read again: a writer that
// overwrites it in place, unlike kubelet, has finished by then.
var rereads = []time.Duration{20 * time.Millisecond, 80 * time.Millisecond, 300 * time.Millisecond}

// readToken returns the token of the function or of the file, and its claims.
func (w WebIdentity) readToken(ctx context.Context, notify *notifier) ([]byte, trust.Token, *Error) {
	if w.Token == nil {
		return readToken(ctx, w.TokenFile)
	}
	raw, failure := w.callToken(ctx, notify)
	if failure != nil {
		return nil, trust.Token{}, failure
	}
	token, err := trust.ParseToken(raw)
	if err != nil {
		return nil, trust.Token{}, functionError(TokenMalformed, err, wantTokenFix())
	}
	return raw, token, nil
}

// callTokenFunction is the Operation of an error that the token function caused.
const callTokenFunction = "call token function"

// callToken calls the token function, which is user code and may panic, end its goroutine
// or never return. It returns the token without the white space around it.
func (w WebIdentity) callToken(ctx context.Context, notify *notifier) ([]byte, *Error) {
	type result struct {
		raw []byte
		err error
	}
	started := time.Now()
	r, ok := within(ctx, func() (r result) {
		defer func() {
			if v := recover(); v != nil {
				text := withoutKeys(fmt.Sprint(v), redact.New())
				notify.warn("panic in the token function", "panic", text, "stack", string(debug.Stack()))
				r = result{err: errors.New("panic: " + text)}
			}
		}()
		raw, err := w.Token(ctx)
		if err != nil {
			return result{err: &cause{text: withoutKeys(err.Error(), redact.New()), err: err}}
		}
		return result{raw: bytes.Clone(raw[:min(len(raw), maxToken+1)])}
	})
	switch {
	case !ok && ctx.Err() == nil:
		r.err = errors.New("it ended its goroutine (runtime.Goexit)")
	case !ok:
		r.err = fmt.Errorf("it returned no token within %v: %w", time.Since(started).Round(time.Millisecond), context.Cause(ctx))
	case r.err != nil && ctx.Err() != nil && errors.Is(r.err, context.Canceled):
		r.err = &cause{text: r.err.Error(), err: context.Cause(ctx)} // the deadline canceled it
	}
	name := functionName()
	switch raw := bytes.TrimSpace(r.raw); {
	case r.err != nil && ctx.Err() != nil:
		return nil, functionError(TokenUnreadable, r.err, "let "+name+" return before the deadline of its context, and check that it can reach what it asks for the token")
	case r.err != nil:
		return nil, functionError(TokenUnreadable, r.err, "check why "+name+" fails; the next attempt calls it again")
	case len(r.raw) > maxToken:
		return nil, functionError(TokenMalformed, fmt.Errorf("it returned more than %d bytes, STS's limit for a token", maxToken), wantTokenFix())
	case len(raw) == 0:
		return nil, functionError(TokenMalformed, errors.New("it returned an empty token"), wantTokenFix())
	default:
		return raw, nil
	}
}

func functionError(kind Kind, err error, fix string) *Error {
	return &Error{Operation: callTokenFunction, Kind: kind, Err: err, Fixes: []string{fix}}
}

// functionName names the token function in fixes.
func functionName() string {
	return settings.Name("the function in WebIdentity.Token", "the program of --token-command")
}

func wantTokenFix() string {
	return "let " + functionName() + " return one signed token (a JWT with iss, sub, aud and exp) and nothing else"
}

// readToken opens a token file by its path, so that it follows kubelet's swap of the
// ..data symlink, and parses the token before anything is sent.
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

// readTokenFile reads a file that should hold a token, without the white space around it.
// setting is the setting that names the file.
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

// openRegular opens a regular file, following links. Neither opening nor reading waits for
// the writer of a pipe or for a device.
func openRegular(path string) (*os.File, error) {
	// Check first: opening a device may have side effects.
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
	// Some files in /proc claim to be regular and block their readers.
	_ = f.SetReadDeadline(time.Now().Add(readWait)) // os.ErrNoDeadline: it is regular
	return f, nil
}

// readWait limits how long a read of a token file may take, where the system supports
// read deadlines on files.
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

// describeFile describes what helps with an unreadable token: where the path leads, the
// file's owner and mode, and this process's user and groups, of which fsGroup is one.
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
	mode := info.Mode().String()
	if o := owner(info); o != "" {
		mode += ", owner " + o
	}
	return s + fmt.Sprintf(" (mode %s; this process runs as uid %d, gid %d, groups %v)", mode, os.Getuid(), os.Getgid(), groups)
}

// leadsTo describes the target of a link, or the first one if the target does not exist.
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

// fileStamp identifies one state of a token file without reading it. It includes the
// file's identity, because kubelet may swap in another token of the same size within one
// tick of the file system's clock, and the owner, because a chown changes no time.
type fileStamp struct {
	info  fs.FileInfo // nil: stat failed
	owner string
}

func stampFile(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info, owner(info)}
}

func (m fileStamp) equal(n fileStamp) bool {
	if m.info == nil || n.info == nil {
		return m.info == nil && n.info == nil
	}
	return os.SameFile(m.info, n.info) && m.info.ModTime().Equal(n.info.ModTime()) &&
		m.info.Size() == n.info.Size() && m.info.Mode() == n.info.Mode() && m.owner == n.owner
}

// expiredFix returns the fix for an expired token.
func (w WebIdentity) expiredFix() string {
	if w.Token != nil {
		return "let " + functionName() + " return a token that is valid: it may keep one that has expired"
	}
	return rotationFix
}

// roleName names the setting of the role that the token is exchanged for.
func (w WebIdentity) roleName() string {
	if w.Token != nil {
		return settings.Name("WebIdentity.RoleARN", envRoleARN)
	}
	return "the pod's role"
}

// projectFix returns the fix that changes the token's audience.
func (w WebIdentity) projectFix(audience string) string {
	if w.Token != nil {
		return fmt.Sprintf("let %s request a token with the audience %s (spec.audiences of a Kubernetes TokenRequest)", functionName(), audience)
	}
	return fmt.Sprintf("project the token with the audience %s: on EKS with the service account's annotation eks.amazonaws.com/audience (without it the audience is %s), elsewhere with the audience field of the pod's serviceAccountToken volume; then recreate the pod", audience, stsAudience)
}

// rotationFix is the fix for an expired token in a file.
const rotationFix = "check that kubelet still rotates the projected token (at about 80 % of its life) and that the file is the mounted one, not a copy of it"

// issuerDiffers returns an error that says how two issuers differ, because the usual
// differences are easy to overlook.
func issuerDiffers(want, got string) error {
	why := "the ID: the token comes from another cluster"
	path := func(s string) string {
		_, p, _ := strings.Cut(strings.TrimPrefix(s, "https://"), "/")
		return p
	}
	switch {
	case strings.TrimSuffix(want, "/") == strings.TrimSuffix(got, "/"):
		why = "only a trailing slash"
	case strings.EqualFold(want, got):
		why = "only upper and lower case"
	case path(want) != "" && path(want) == path(got):
		why = "only the host"
	}
	return fmt.Errorf("the token's issuer is %q, WebIdentity.Issuer is %q; what differs is %s, and AWS compares them byte for byte", got, want, why)
}

// tokenName names the token in messages.
func (w WebIdentity) tokenName() string {
	if w.Token != nil {
		return "the token of " + functionName()
	}
	return "the token in " + w.TokenFile
}

// expired describes an expired token by the times that its issuer wrote into it. They do
// not change until there is a newer token, so the text stays the same.
func (w WebIdentity) expired(t trust.Token) error {
	s := w.tokenName()
	if !t.IssuedAt.IsZero() {
		s += " was issued at " + t.IssuedAt.UTC().Format(time.RFC3339) + " and"
	}
	return fmt.Errorf("%s expired at %s, by the clock of AWS", s, t.Expires.UTC().Format(time.RFC3339))
}

// expSlack is the tolerated difference between two clocks.
const expSlack = time.Minute

// checkClaims checks the token before it is sent. Only the server's clock shows for certain
// that it has expired; by the local clock it is a warning.
func (w WebIdentity) checkClaims(t trust.Token, clock *serverClock, notify *notifier) *Error {
	fail := func(kind Kind, err error, fixes ...string) *Error {
		return &Error{Operation: "check token", RoleARN: w.RoleARN, Kind: kind, Token: &t, Err: err, Fixes: fixes}
	}
	if w.Issuer != "" && w.Issuer != t.Issuer {
		return fail(TokenRejected, issuerDiffers(w.Issuer, t.Issuer),
			"set WebIdentity.Issuer to the cluster's own issuer, or leave it empty so that a new cluster needs no change here")
	}
	if w.Audience != "" && !slices.Contains(t.Audience, w.Audience) {
		fix := "project the token with that audience (on EKS the service account's eks.amazonaws.com/audience annotation)"
		if w.Token != nil {
			fix = w.projectFix(w.Audience)
		}
		return fail(AudienceMismatch, fmt.Errorf("the token's audience is %q, WebIdentity.Audience is %q", t.Audience, w.Audience),
			fix+", or set WebIdentity.Audience to the token's")
	}
	if now, known := clock.now(); known && now.Sub(t.Expires) > expSlack {
		clock.forget() // it may have been wrong: the next attempt asks STS
		return fail(TokenExpired, w.expired(t), w.expiredFix())
	} else if !known && time.Since(t.Expires) > expSlack {
		notify.warnOnce("exp", "the token has expired by the local clock; it is sent anyway, since the clock may be wrong", "token", w.tokenName(), "expired", t.Expires)
	}
	return nil
}

// skewWarning is the clock difference that is logged: AWS refuses signatures that are
// further off (S3: 15 minutes).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
const skewWarning = 5 * time.Minute

// lastToken is the token of the last success.
type lastToken struct{ raw, issuer string }

// serverClock is the server's clock, as the last response showed it. In the zero value it
// is unknown. It is safe for concurrent use.
type serverClock struct{ last atomic.Pointer[clockReading] }

// clockReading is the server's time (date) and our own (at) at the same moment.
type clockReading struct{ date, at time.Time }

func (c *serverClock) observe(date, at time.Time) { c.last.Store(&clockReading{date: date, at: at}) }

func (c *serverClock) forget() { c.last.Store(nil) }

// now returns the server's time; false if it is unknown. It follows the monotonic clock, so
// that setting the local clock does not change it.
func (c *serverClock) now() (time.Time, bool) {
	last := c.last.Load()
	if last == nil {
		return time.Time{}, false
	}
	return last.date.Add(time.Since(last.at)), true
}

// skew returns the local clock less the server's, as the last response showed it;
// zero where that is unknown.
func (c *serverClock) skew() time.Duration {
	last := c.last.Load()
	if last == nil {
		return 0
	}
	return skewOf(last.at, last.date)
}

// observe records what a successful exchange shows in addition to the credentials: the
// server's clock, and whether the pod's token has changed.
func (s *session) observe(att *attempt) {
	c := s.chain
	if !att.Date.IsZero() {
		c.clock.observe(att.Date, att.SentAt)
		if skew := att.SentAt.Round(0).Sub(att.Date); skew.Abs() > skewWarning {
			c.notify.warnOnce("skew", "the local clock differs from AWS's: it is "+describeSkew(skew), "ahead", skew.Round(time.Second), "endpoint", att.Endpoint)
		}
	}
	if att.token == nil {
		return
	}
	s.mu.Lock()
	previous := s.lastToken
	s.lastToken = lastToken{raw: string(att.raw), issuer: att.token.Issuer}
	s.mu.Unlock()
	if previous.raw == "" || previous.raw == string(att.raw) {
		return
	}
	c.notify.enqueue(Event{Type: TokenRotated, Hop: s.n, RoleARN: s.role})
	if previous.issuer != att.token.Issuer {
		c.notify.info("the token comes from another cluster than before", "before", previous.issuer, "now", att.token.Issuer)
		c.notify.enqueue(Event{Type: IssuerChanged, Hop: s.n, RoleARN: s.role})
	}
}

// skewOf returns the local clock less the server's: positive if the local one is ahead. A
// Date has whole seconds, and the response takes time: less than two seconds count as 0.
func skewOf(local, date time.Time) time.Duration {
	skew := local.Round(0).Sub(date)
	if skew.Abs() < 2*time.Second {
		return 0
	}
	return skew
}

// describeSkew describes the local clock, compared with the server's.
func describeSkew(skew time.Duration) string {
	switch skew = skew.Round(time.Second); {
	case skew > 0:
		return skew.String() + " ahead of the server's"
	case skew < 0:
		return (-skew).String() + " behind the server's"
	}
	return "equal to the server's"
}
