package awstest

import (
	"context"
	"errors"
	"net/http"
	"time"
)

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
	known := req.route(anyHost)
	var malformed *refusal
	if known {
		req.id = newRequestID(req.service)
		call.AccessKeyID = claimedKey(r)
		if req.service == serviceSTS {
			malformed = req.parseForm()
		}
	}

	c.mu.Lock()
	place := c.begin(call)
	if known {
		req.fault = c.strike(req)
	}
	c.mu.Unlock()
	defer func() { c.finish(place, call) }()
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

// before does what a fault does before the answer.
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

// respond is the answer itself: a fault's, or the service's.
func (c *Cloud) respond(req *request, malformed *refusal) *response {
	if f := req.fault; f != nil && f.Status != 0 {
		resp := errorResponse(req, f.Status, f.Code, f.Message)
		if f.Body != "" {
			resp.body = []byte(f.Body)
		}
		return resp
	}
	// A token is exchanged without credentials; a signature is not looked at.
	unsigned := req.service == serviceSTS && req.param("Action") == "AssumeRoleWithWebIdentity"
	if malformed == nil && !unsigned {
		malformed = c.authenticate(req)
	}
	if malformed != nil {
		return malformed.response(req)
	}
	if req.service == serviceSTS {
		return c.serveSTS(req)
	}
	return c.serveS3(req)
}
