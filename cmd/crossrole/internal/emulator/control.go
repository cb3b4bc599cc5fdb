package emulator

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossrole/crossrole/awstest"
)

// openAPI describes the control API; a test holds it against the routes.
//
//go:embed openapi.json
var openAPI []byte

// maxBody is the longest request body of the control API.
const maxBody = 1 << 20

// route is one operation of the control API. serve returns what is sent as JSON
// with status 200, or nil for 204.
type route struct {
	method, path string
	serve        func(r *http.Request, body []byte) (any, error)
}

// failure is an error with its HTTP status.
type failure struct {
	status  int
	message string
}

func (f *failure) Error() string { return f.message }

func failf(status int, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// plain is a response that is no JSON.
type plain struct {
	contentType string
	body        []byte
}

func (e *Emulator) operations() []route {
	return []route{
		{"GET", "/_crossrole/openapi.json", func(*http.Request, []byte) (any, error) { return plain{"application/json", openAPI}, nil }},
		{"GET", "/_crossrole/world.schema.json", func(*http.Request, []byte) (any, error) {
			return plain{"application/schema+json", awstest.WorldSchema()}, nil
		}},
		{"GET", "/_crossrole/world", e.getWorld},
		{"PUT", "/_crossrole/world", e.putWorld},
		{"POST", "/_crossrole/reset", func(*http.Request, []byte) (any, error) { return nil, e.Reset() }},
		{"GET", "/_crossrole/calls", e.getCalls},
		{"GET", "/_crossrole/faults", e.getFaults},
		{"POST", "/_crossrole/faults", e.postFault},
		{"DELETE", "/_crossrole/faults/{id}", e.deleteFault},
		{"GET", "/_crossrole/accounts/{account}/environment", e.getAdminEnvironment},
		{"GET", "/_crossrole/pods/{pod}/environment", e.getEnvironment},
		{"POST", "/_crossrole/pods/{pod}/rotate", e.rotatePod},
		{"POST", "/_crossrole/pods/{pod}/move", e.movePod},
		{"POST", "/_crossrole/roles/revoke", e.revokeRole},
		{"POST", "/_crossrole/clock/advance", e.advanceClock},
	}
}

func (e *Emulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, op := range e.operations() {
		mux.HandleFunc(op.method+" "+op.path, func(w http.ResponseWriter, r *http.Request) {
			body, err := readBody(w, r)
			var result any
			if err == nil {
				result, err = op.serve(r, body)
			}
			respond(w, result, err)
		})
	}
	mux.HandleFunc("/_crossrole/", func(w http.ResponseWriter, r *http.Request) {
		respond(w, nil, failf(http.StatusNotFound, "the control API has no %s %s; /_crossrole/openapi.json lists its operations", r.Method, r.URL.Path))
	})
	return mux
}

// readBody reads the body of a request that a program on this machine sent. A
// page of another site, which a browser on the machine has open, is refused: its
// requests carry its Origin, or another Host after a change of its DNS.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, failf(http.StatusForbidden, "the control API serves this machine only, not requests for host %q; use 127.0.0.1 or localhost", r.Host)
	}
	if r.Method != http.MethodGet && r.Header.Get("Origin") != "" {
		return nil, failf(http.StatusForbidden, "the control API takes no requests from web pages (Origin %q)", r.Header.Get("Origin"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, failf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	return body, err
}

func respond(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		if f, ok := errors.AsType[*failure](err); ok {
			status = f.status
		}
		result = struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	if p, ok := result.(plain); ok {
		w.Header().Set("Content-Type", p.contentType)
		_, _ = w.Write(p.body) // the client may have left
		return
	}
	if result == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(result) // the client may have left
}

// parse reads a JSON body strictly.
func parse(r *http.Request, body []byte, to any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return failf(http.StatusUnsupportedMediaType, "Content-Type %q; send application/json", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return failf(http.StatusBadRequest, "the body: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return failf(http.StatusBadRequest, "the body has more than one JSON value")
	}
	return nil
}

// The world as GET /_crossrole/world reports it.
type (
	worldView struct {
		Accounts []accountView `json:"accounts"`
		Clusters []clusterView `json:"clusters"`
		Pods     []podView     `json:"pods"`
	}
	accountView struct {
		ID      string   `json:"id"`
		Roles   []string `json:"roles"`
		Buckets []string `json:"buckets"`
	}
	clusterView struct {
		Name   string `json:"name"`
		Issuer string `json:"issuer"`
	}
	podView struct {
		Name      string `json:"name"`
		Role      string `json:"role"`
		TokenFile string `json:"tokenFile"`
	}
)

func (e *Emulator) view() worldView {
	world := e.World()
	v := worldView{Accounts: []accountView{}, Clusters: []clusterView{}, Pods: []podView{}}
	for _, a := range world.Cloud().Accounts() {
		account := accountView{ID: a.ID(), Roles: []string{}, Buckets: []string{}}
		for _, role := range a.Roles() {
			account.Roles = append(account.Roles, role.ARN())
		}
		for _, bucket := range a.Buckets() {
			account.Buckets = append(account.Buckets, bucket.Name())
		}
		v.Accounts = append(v.Accounts, account)
	}
	for _, name := range world.Clusters() {
		v.Clusters = append(v.Clusters, clusterView{name, world.Cluster(name).Issuer()})
	}
	for _, name := range world.Pods() {
		pod := world.Pod(name)
		v.Pods = append(v.Pods, podView{name, pod.RoleARN(), pod.TokenFile()})
	}
	return v
}

func (e *Emulator) getWorld(*http.Request, []byte) (any, error) { return e.view(), nil }

func (e *Emulator) putWorld(_ *http.Request, body []byte) (any, error) {
	if err := e.Load(body); err != nil {
		return nil, failf(http.StatusUnprocessableEntity, "%s", err)
	}
	return e.view(), nil
}

// call is a call as GET /_crossrole/calls reports it.
type call struct {
	Time      time.Time         `json:"time"`
	Operation string            `json:"operation"`
	Caller    string            `json:"caller,omitempty"`
	AccessKey string            `json:"accessKeyId,omitempty"`
	Host      string            `json:"host"`
	Params    map[string]string `json:"params,omitempty"`
	Status    int               `json:"status"`
	Code      string            `json:"code,omitempty"`
	Subject   string            `json:"subject,omitempty"`
	Explain   string            `json:"explain,omitempty"`
	Allowed   string            `json:"allowed,omitempty"`
}

// calls returns the last n calls, the newest first.
func (e *Emulator) calls(n int, refused bool) []call {
	result := []call{}
	all := e.World().Cloud().Calls()
	for _, c := range slices.Backward(all) {
		if len(result) == n {
			break
		}
		if !refused || c.Code != "" {
			result = append(result, call{c.Time, c.Operation, c.Caller, c.AccessKeyID, c.Host, c.Params, c.Status, c.Code, c.Subject, c.Explain, c.Allowed})
		}
	}
	return result
}

func (e *Emulator) getCalls(r *http.Request, _ []byte) (any, error) {
	n, refused := 200, false
	for name, values := range r.URL.Query() {
		var err error
		switch name {
		case "last":
			n, err = strconv.Atoi(values[0])
			if err == nil && (n < 1 || n > keptCalls) {
				err = fmt.Errorf("want 1 to %d", keptCalls)
			}
		case "refused":
			refused, err = strconv.ParseBool(values[0])
		default:
			err = errors.New("no such parameter; use last or refused")
		}
		if err != nil {
			return nil, failf(http.StatusBadRequest, "%s=%q: %v", name, values[0], err)
		}
	}
	return e.calls(n, refused), nil
}

// fault is awstest.Fault in JSON. Durations are strings such as "2s".
type fault struct {
	Operation    string            `json:"operation,omitempty"`
	RoleARN      string            `json:"roleArn,omitempty"`
	Bucket       string            `json:"bucket,omitempty"`
	Key          string            `json:"key,omitempty"`
	AccessKeyID  string            `json:"accessKeyId,omitempty"`
	Region       string            `json:"region,omitempty"`
	Skip         int               `json:"skip,omitempty"`
	Times        int               `json:"times,omitempty"`
	Delay        duration          `json:"delay,omitempty"`
	Hang         bool              `json:"hang,omitempty"`
	Drop         bool              `json:"drop,omitempty"`
	Status       int               `json:"status,omitempty"`
	Code         string            `json:"code,omitempty"`
	Message      string            `json:"message,omitempty"`
	Body         string            `json:"body,omitempty"`
	Header       map[string]string `json:"header,omitempty"`
	ResetAfter   *int64            `json:"resetAfter,omitempty"`
	StallAfter   *int64            `json:"stallAfter,omitempty"`
	EndAfter     *int64            `json:"endAfter,omitempty"`
	NoLength     bool              `json:"noLength,omitempty"`
	IgnoreRange  bool              `json:"ignoreRange,omitempty"`
	WrongRange   bool              `json:"wrongRange,omitempty"`
	Expiration   *time.Time        `json:"expiration,omitempty"`
	NoExpiration bool              `json:"noExpiration,omitempty"`
	WrongRole    string            `json:"wrongRole,omitempty"`
	SessionLife  duration          `json:"sessionLife,omitempty"`
	ServerClock  duration          `json:"serverClock,omitempty"`
}

// duration is a time.Duration that JSON spells as Go does.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

func (f fault) awstest() awstest.Fault {
	return awstest.Fault{
		Operation: f.Operation, RoleARN: f.RoleARN, Bucket: f.Bucket, Key: f.Key, AccessKeyID: f.AccessKeyID, Region: f.Region,
		Skip: f.Skip, Times: f.Times,
		Delay: time.Duration(f.Delay), Hang: f.Hang, Drop: f.Drop,
		Status: f.Status, Code: f.Code, Message: f.Message, Body: f.Body, Header: f.Header,
		ResetAfter: f.ResetAfter, StallAfter: f.StallAfter, EndAfter: f.EndAfter,
		NoLength: f.NoLength, IgnoreRange: f.IgnoreRange, WrongRange: f.WrongRange,
		Expiration: f.Expiration, NoExpiration: f.NoExpiration, WrongRole: f.WrongRole,
		SessionLife: time.Duration(f.SessionLife), ServerClock: time.Duration(f.ServerClock),
	}
}

// faultView is a fault with its number.
type faultView struct {
	ID    int       `json:"id"`
	Added time.Time `json:"added"`
	Fault fault     `json:"fault"`
}

func (e *Emulator) getFaults(*http.Request, []byte) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	result := []faultView{}
	for _, id := range slices.Sorted(maps.Keys(e.faults)) {
		result = append(result, faultView{id, e.faults[id].added, e.faults[id].Fault})
	}
	return result, nil
}

func (e *Emulator) postFault(r *http.Request, body []byte) (any, error) {
	var f fault
	if err := parse(r, body, &f); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	remove, err := addFault(e.world.Cloud(), f.awstest())
	if err != nil {
		return nil, err
	}
	e.lastID++
	held := heldFault{f, time.Now(), remove}
	e.faults[e.lastID] = held
	return faultView{e.lastID, held.added, f}, nil
}

// addFault turns the panic of a fault that makes no sense into an error.
func addFault(cloud *awstest.Cloud, f awstest.Fault) (remove func(), err error) {
	defer func() {
		if message, ok := recover().(string); ok {
			err = failf(http.StatusBadRequest, "%s", strings.TrimPrefix(message, "awstest: "))
		}
	}()
	return cloud.Fault(f), nil
}

func (e *Emulator) deleteFault(r *http.Request, _ []byte) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	e.mu.Lock()
	defer e.mu.Unlock()
	held, ok := e.faults[id]
	if err != nil || !ok {
		return nil, failf(http.StatusNotFound, "there is no fault %q", r.PathValue("id"))
	}
	held.remove()
	delete(e.faults, id)
	return nil, nil
}

// pod returns the pod that the path names, and its world.
func (e *Emulator) pod(r *http.Request) (*awstest.Pod, *awstest.World, error) {
	world := e.World()
	if pod := world.Pod(r.PathValue("pod")); pod != nil {
		return pod, world, nil
	}
	return nil, nil, failf(http.StatusNotFound, "there is no pod %q; there are %q", r.PathValue("pod"), world.Pods())
}

func (e *Emulator) getEnvironment(r *http.Request, _ []byte) (any, error) {
	pod, _, err := e.pod(r)
	if err != nil {
		return nil, err
	}
	environment := environmentOf(pod, "http://"+r.Host)
	return plain{"text/plain; charset=utf-8", []byte(exports(environment))}, nil
}

// getAdminEnvironment returns the variables of an account's administrator.
func (e *Emulator) getAdminEnvironment(r *http.Request, _ []byte) (any, error) {
	cloud, id := e.World().Cloud(), r.PathValue("account")
	var known []string
	for _, a := range cloud.Accounts() {
		if known = append(known, a.ID()); a.ID() != id {
			continue
		}
		keys, region, url := a.AdminKey(), cloud.Config().Region, "http://"+r.Host
		return plain{"text/plain; charset=utf-8", []byte(exports([]string{
			"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey,
			"AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
			"AWS_ENDPOINT_URL=" + url, "AWS_ENDPOINT_URL_STS=" + url,
		}))}, nil
	}
	return nil, failf(http.StatusNotFound, "there is no account %q; there are %q", id, known)
}

func (e *Emulator) rotatePod(r *http.Request, _ []byte) (any, error) {
	pod, _, err := e.pod(r)
	if err == nil {
		pod.Rotate()
	}
	return nil, err
}

func (e *Emulator) movePod(r *http.Request, body []byte) (any, error) {
	var to struct {
		Cluster string `json:"cluster"`
	}
	pod, world, err := e.pod(r)
	if err == nil {
		err = parse(r, body, &to)
	}
	if err != nil {
		return nil, err
	}
	cluster := world.Cluster(to.Cluster)
	if cluster == nil {
		return nil, failf(http.StatusBadRequest, "there is no cluster %q; there are %q", to.Cluster, world.Clusters())
	}
	pod.Move(cluster)
	return nil, nil
}

func (e *Emulator) revokeRole(r *http.Request, body []byte) (any, error) {
	var role struct {
		ARN string `json:"arn"`
	}
	if err := parse(r, body, &role); err != nil {
		return nil, err
	}
	for _, a := range e.World().Cloud().Accounts() {
		for _, known := range a.Roles() {
			if known.ARN() == role.ARN {
				known.RevokeSessions()
				return nil, nil
			}
		}
	}
	return nil, failf(http.StatusNotFound, "there is no role %q", role.ARN)
}

func (e *Emulator) advanceClock(r *http.Request, body []byte) (any, error) {
	var by struct {
		By duration `json:"by"`
	}
	if err := parse(r, body, &by); err != nil {
		return nil, err
	}
	if by.By <= 0 {
		return nil, failf(http.StatusBadRequest, "by is %v; want a duration such as \"1h\"", time.Duration(by.By))
	}
	e.World().Cloud().Advance(time.Duration(by.By))
	e.RotateTokens() // kubelet would have
	return nil, nil
}
