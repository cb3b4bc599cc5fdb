package awstest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// How it works
//
// A request comes in by one of two doors: the client of Config calls the cloud
// in memory, without a socket and thus inside a synctest bubble (memory.go);
// Serve and Handler take it from a listener (serve.go). Behind both, handle takes
// it through the same steps, in the goroutine of the caller:
//
//  1. route finds the service by host, and the bucket (route.go).
//  2. The call is recorded, so that a request that waits can be seen (call.go).
//  3. A Fault that matches may delay, drop or replace the response (fault.go).
//  4. authenticate verifies the signature, which it makes anew with the keys that
//     the cloud has issued, and the session (authenticate.go, sigv4.go,
//     chunked.go).
//  5. STS goes by Action (sts.go, assumerole.go), and so does IAM (iamapi.go), S3
//     by operation (s3.go, s3get.go, s3put.go, s3list.go). All ask access.decide,
//     which evaluates the policies of both sides with package trust (iam.go).
//  6. The call's record gets the status, and the reason of a refusal, or the
//     statements that allowed it.
//
// A step that refuses returns a *refusal, the only error value; respond renders
// it as the document of the service.
//
// Cloud.mu guards what the cloud holds: accounts with their roles, users and
// providers, clusters' keys, sessions, faults and calls. It is held while one
// request is judged and never while one waits. Each Bucket has a lock of its own
// for its settings and objects, never held together with Cloud.mu; a stored
// version never changes. The Organization has one too, which a request takes last.

var (
	errNoSuchHost = errors.New("awstest: no such host")
	errDropped    = errors.New("awstest: connection dropped by a fault")
)

// handle takes a request through the cloud, in the calling goroutine. The error
// is errNoSuchHost, errDropped or that of the request's context: the transport
// shows each as a network would. The response's headers are complete but for
// Content-Length.
func (c *Cloud) handle(r *http.Request, body []byte, secure, anyHost bool) (*request, *response, error) {
	call := &Call{Time: time.Now(), Host: r.Host, Params: map[string]string{}}
	req := &request{Request: r, body: body, call: call, secure: secure}
	c.mu.Lock()
	known := c.handled.routeHandled(req, anyHost)
	c.mu.Unlock()
	known = known || req.route(anyHost)
	var malformed *refusal
	if known {
		req.id = newRequestID(req.service)
		call.AccessKeyID = claimedKey(r)
		if req.isQuery() && req.handler == nil {
			malformed = req.parseForm()
		}
	}

	c.mu.Lock()
	record := c.begin(call)
	if known {
		req.fault = c.strike(req)
	}
	c.mu.Unlock()
	defer func() { c.finish(record, call) }()
	if !known {
		return nil, nil, errNoSuchHost
	}

	if err := req.fault.before(r.Context()); err != nil {
		return nil, nil, err
	}
	req.trueNow = time.Now()
	req.now = req.trueNow
	if req.fault != nil {
		req.now = req.now.Add(req.fault.ServerClock)
	}
	resp := c.respond(req, malformed)
	call.Status = resp.status

	resp.header.Set("Date", req.now.UTC().Format(http.TimeFormat))
	if req.service == serviceS3 {
		resp.header.Set("Server", "AmazonS3")
		resp.header.Set("X-Amz-Request-Id", req.id)
		resp.header.Set("X-Amz-Id-2", hostID(req.id))
	} else {
		resp.header.Set("X-Amzn-Requestid", req.id)
	}
	if req.fault != nil {
		for name, value := range req.fault.Header {
			resp.header.Set(name, value)
			if value == "" {
				resp.header.Del(name)
			}
		}
	}
	return req, resp, nil
}

// begin records a call on its arrival and returns the record for finish. c.mu
// must be held.
func (c *Cloud) begin(call *Call) *Call {
	record := call.clone()
	c.calls = append(c.calls, &record)
	c.dropOldCalls()
	return &record
}

// finish records the outcome of a call.
func (c *Cloud) finish(record, call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*record = *call
}

// before applies what a fault does before the response.
func (f *Fault) before(ctx context.Context) error {
	if err := ctx.Err(); err != nil || f == nil {
		return err
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.Drop {
		return errDropped
	}
	return nil
}

// respond returns what a fault says instead of the response, or has the request
// authenticated and served. A refusal of any step is rendered here and nowhere
// else, and its code is noted for the record of calls.
func (c *Cloud) respond(req *request, malformed *refusal) *response {
	if f := req.fault; f != nil && f.Status != 0 {
		resp := (&refusal{status: f.Status, code: f.Code, message: f.Message}).render(req)
		if f.Body != "" {
			resp.body = []byte(f.Body)
		}
		return resp
	}
	resp, refused := c.serve(req, malformed)
	if refused != nil {
		return refused.render(req)
	}
	return resp
}

func (c *Cloud) serve(req *request, malformed *refusal) (*response, *refusal) {
	if malformed != nil {
		return nil, malformed
	}
	// A token is exchanged without credentials; a signature is not looked at.
	unsigned := req.service == serviceSTS && req.param("Action") == "AssumeRoleWithWebIdentity"
	if !unsigned {
		if refused := authenticate(c, req); refused != nil {
			return nil, refused
		}
	}
	switch {
	case req.handler != nil:
		return serveHandled(c, req)
	case req.service == serviceSTS:
		return serveSTS(c, req)
	case req.service == serviceIAM:
		return serveIAM(c, req)
	}
	return serveS3(c, req)
}

// The services a request can be for.
const (
	serviceSTS = "sts"
	serviceIAM = "iam"
	serviceS3  = "s3"
)

// request is one request on its way through the cloud: read, routed and, when
// it was signed, authenticated. Its URL is as a server sees it: path and query
// only, the escaped path exactly as sent.
type request struct {
	*http.Request
	body   []byte
	now    time.Time  // the server's clock
	caller *principal // nil: unsigned
	fault  *Fault     // nil: none strikes this request
	call   *Call      // what will be recorded: the handler fills Params
	id     string     // request id
	region string     // that the host names or the signature is for

	service     string          // serviceSTS, serviceIAM, serviceS3 or one that has a handler
	handler     *ServiceHandler // of the service; nil: the cloud plays it itself
	bucket, key string          // S3: what host and path name, unescaped; may be empty
	secure      bool            // came by https
	form        url.Values      // IAM, STS and others of the query protocol: the parameters
	trueNow     time.Time       // the cloud's clock, without a fault's ServerClock
}

// isQuery reports whether the request's service refuses signatures as those of the
// query protocol do: all but S3.
func (r *request) isQuery() bool { return r.service != serviceS3 }

// response is a response before a transport writes it. Body bytes are not
// changed after this point, so that an object's data need not be copied. For a
// HEAD request the transport leaves the body out and sets Content-Length to the
// body's length, unless header has a Content-Length.
type response struct {
	status int
	header http.Header
	body   []byte
}

// principal is the caller that signed a request.
type principal struct {
	account     *Account
	arn         string        // user ARN or assumed-role session ARN
	role        *Role         // nil for a user
	policy      *trust.Policy // identity policy in force now
	boundary    *guardrail    // permissions boundary; nil: none
	session     *trust.Policy // session policies, which must allow too; nil: none
	accessKeyID string

	userID string        // AIDA… of a user, AROA…:name of a session
	state  *session      // nil for a user
	keys   conditionKeys // that every request has, and those of the caller
}

// refusal is an error response of AWS: the only error value of the steps of a
// request.
type refusal struct {
	status        int
	code, message string
	details       [][2]string // further elements of S3's document: {"Region", "eu-west-1"}
	header        http.Header // further headers
	why           string      // the rule and the fix, which AWS does not disclose; empty: no more than message says
}

// refuse returns a refusal of S3; details are pairs of name and text.
func refuse(status int, code, message string, details ...string) *refusal {
	r := &refusal{status: status, code: code, message: message, header: http.Header{}}
	for pair := range slices.Chunk(details, 2) {
		r.details = append(r.details, [2]string{pair[0], pair[1]})
	}
	return r
}

// because sets what AWS does not disclose: the rule and the fix.
func (r *refusal) because(format string, args ...any) *refusal {
	r.why = fmt.Sprintf(format, args...)
	return r
}

// render writes the error document of the request's service.
func (r *refusal) render(req *request) *response {
	req.call.Code, req.call.Allowed = r.code, ""
	if r.why != "" {
		req.call.Explain = r.why
	}
	if req.handler != nil && req.form == nil {
		return r.renderJSON(req)
	}
	resp := &response{status: r.status, header: http.Header{}}
	var b strings.Builder
	if req.service == serviceS3 {
		resp.header.Set("Content-Type", "application/xml")
		b.WriteString(xml.Header + "<Error>")
		element(&b, "Code", r.code)
		element(&b, "Message", r.message)
		for _, d := range r.details {
			element(&b, d[0], d[1])
		}
		element(&b, "RequestId", req.id)
		element(&b, "HostId", hostID(req.id))
		b.WriteString("</Error>")
	} else {
		fault := "Sender"
		if r.status >= 500 {
			fault = "Receiver"
		}
		resp.header.Set("Content-Type", "text/xml")
		namespace := stsNamespace
		if req.service == serviceIAM {
			namespace = iamNamespace
		}
		b.WriteString(`<ErrorResponse xmlns="` + namespace + "\">\n  <Error>")
		element(&b, "Type", fault)
		element(&b, "Code", r.code)
		element(&b, "Message", r.message)
		b.WriteString("</Error>\n  ")
		element(&b, "RequestId", req.id)
		b.WriteString("\n</ErrorResponse>\n")
	}
	maps.Copy(resp.header, r.header)
	if req.Method == http.MethodHead && req.service == serviceS3 {
		return resp // the response to a HEAD request has no body
	}
	resp.body = []byte(b.String())
	return resp
}

// element writes one XML element, its text escaped.
func element(b *strings.Builder, name, text string) {
	b.WriteString("<" + name + ">")
	// A strings.Builder never fails to write.
	_ = xml.EscapeText(b, []byte(text))
	b.WriteString("</" + name + ">")
}
