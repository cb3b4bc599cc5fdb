package awstest

import (
	"fmt"
	"slices"
	"time"
)

// Fault is one thing that goes wrong. The first group of fields selects the requests
// (empty: any), the second says how often it happens, and the rest say what happens.
type Fault struct {
	Operation   string // "AssumeRole", "GetObject", …
	RoleARN     string // the requested role (STS)
	Bucket, Key string // S3
	AccessKeyID string // the key that signed the request
	Region      string // of the endpoint; a host that names none: that of the signature

	Skip  int // number of matching requests to let through first
	Times int // number of requests to affect; 0: all until the fault is removed

	// Before the response.
	Delay time.Duration // wait, or until the client's context is done
	Hang  bool          // never respond; the request fails when the client's context is done
	Drop  bool          // close the connection without a response

	// Instead of the response. Header without Status is added to the real response;
	// an empty value removes the header.
	Status        int    // HTTP status of an error response; with Code
	Code, Message string // AWS error code
	Body          string // with Status: these bytes instead of AWS's error document
	Header        map[string]string

	// Changes to the real response of S3. On a socket, fewer than n bytes may arrive
	// before a reset, as on any network.
	ResetAfter  *int64                // reset the connection after n bytes of the body
	StallAfter  *int64                // send nothing more after n bytes
	EndAfter    *int64                // end the body after n bytes; Content-Length still states the full length
	NoLength    bool                  // no Content-Length: the body is chunked
	IgnoreRange bool                  // 200 with the whole object for a range
	WrongRange  bool                  // a different range than requested, with the right Content-Range
	Edit        func(b []byte) []byte // change the body; Content-Length follows

	// Changes to the real response of STS. The session itself expires at the same time
	// as without them.
	Expiration   *time.Time // the expiry in the response, which may be in the past
	NoExpiration bool
	WrongRole    string // AssumedRoleUser names this role ARN instead

	// SessionLife is the lifetime of the sessions that STS issues, in whole seconds,
	// whatever the request asks for and AWS allows. With eight seconds, a program renews
	// all the time. Zero changes nothing. Unlike Expiration, it changes the session itself
	// and not only the response.
	SessionLife time.Duration

	// ServerClock is how far the server's clock is ahead of the client's (negative:
	// behind), for STS and S3. It affects the Date header, the expiry of new sessions
	// and the check of signing times. A fault without selection fields sets the clock
	// of the whole cloud. It does not affect the check of tokens, as if the cluster's
	// clock were off by the same amount. A client whose own clock is an hour ahead is the
	// same as a ServerClock of minus one hour.
	ServerClock time.Duration
}

// faultState is a fault and the number of requests that it will still affect.
type faultState struct {
	Fault
	skip, left int
}

// Fault makes matching requests fail as f describes, until it has affected f.Times
// requests or remove is called. If several faults match a request, the oldest that is
// not used up applies. Requests to unknown hosts are never affected. Fault panics on
// an unknown Operation, a Region that is none, an invalid Status, a negative number, a
// SessionLife with a part of a second, and on Code, Message or Body without Status. Once
// the cloud has a service of [Cloud.Handle], no Operation is unknown.
func (c *Cloud) Fault(f Fault) (remove func()) {
	checked := f
	if c.hasHandlers() {
		checked.Operation = ""
	}
	checked.validate()
	state := &faultState{Fault: f, skip: f.Skip, left: f.Times}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, state)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = slices.DeleteFunc(c.faults, func(s *faultState) bool { return s == state })
	}
}

// faultOperations are those that a fault may select, in addition to IAM's actions.
var faultOperations = slices.Concat([]string{
	"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetSessionToken", "GetAccessKeyInfo",
	"GetWebIdentityToken", "DecodeAuthorizationMessage",
	"CreateBucket", "ListBuckets",
}, s3OperationNames())

func (f Fault) validate() {
	switch {
	case f.Operation != "" && !slices.Contains(faultOperations, f.Operation) && iamActions[f.Operation].serve == nil:
		panic(fmt.Sprintf("awstest: Fault: unknown Operation %q; it is one of %v or an action of IAM", f.Operation, faultOperations))
	case f.Region != "" && !regionName().MatchString(f.Region):
		panic(fmt.Sprintf("awstest: Fault: Region %q is not the name of a region; use one such as \"eu-west-1\"", f.Region))
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0:
		panic(fmt.Sprintf("awstest: Fault: Skip %d, Times %d and Delay %v must not be negative", f.Skip, f.Times, f.Delay))
	case f.SessionLife < 0 || f.SessionLife%time.Second != 0:
		panic(fmt.Sprintf("awstest: Fault: SessionLife %v is not a number of whole seconds; use one such as 8*time.Second", f.SessionLife))
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		panic(fmt.Sprintf("awstest: Fault: Status %d is not the HTTP status of a response; use one from 200 to 599", f.Status))
	case f.Status == 0 && (f.Code != "" || f.Message != "" || f.Body != ""):
		panic(fmt.Sprintf("awstest: Fault: Code %q, Message or Body without Status would never be sent; set Status too", f.Code))
	}
	for _, n := range []*int64{f.ResetAfter, f.StallAfter, f.EndAfter} {
		if n != nil && *n < 0 {
			panic("awstest: Fault: ResetAfter, StallAfter and EndAfter count bytes and must not be negative")
		}
	}
}

// strike returns the fault that applies to the request, if any. c.mu must be held.
func (c *Cloud) strike(req *request) *Fault {
	for i, f := range c.faults {
		if !f.matches(req) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		if f.Times > 0 {
			if f.left--; f.left == 0 {
				c.faults = slices.Delete(c.faults, i, i+1)
			}
		}
		return &f.Fault
	}
	return nil
}

func (f *faultState) matches(req *request) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(f.Operation, req.call.Operation) &&
		is(f.RoleARN, req.call.Params["RoleArn"]) &&
		is(f.Bucket, req.bucket) && is(f.Key, req.key) &&
		is(f.AccessKeyID, req.call.AccessKeyID) &&
		(f.Region == "" || f.Region == req.endpointRegion())
}
