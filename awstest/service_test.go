package awstest_test

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/restjson"
	awsxml "github.com/aws/aws-sdk-go-v2/aws/protocol/xml"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/crossrole/crossrole/awstest"
)

const (
	jobs       = "arn:aws:sqs:us-east-1:444455556666:jobs"
	jobsURL    = "https://sqs.us-east-1.amazonaws.com/444455556666/jobs"
	maySend    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}`
	devMaySend = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sqs:SendMessage","Resource":"*"}]}`
)

// queue is a handler of SQS with one queue, and what it received.
type queue struct {
	policy string
	sent   []string
	needs  func(*awstest.ServiceRequest) ([]awstest.Permission, error) // nil: SendMessage to the queue
	serve  func(*awstest.ServiceRequest) (any, error)                  // nil: as SQS does
}

func (q *queue) handler() awstest.ServiceHandler {
	return awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			if q.needs != nil {
				return q.needs(r)
			}
			if r.Operation != "SendMessage" {
				return nil, nil
			}
			return []awstest.Permission{{Action: "sqs:SendMessage", Resource: jobs, Policy: q.policy}}, nil
		},
		Serve: func(r *awstest.ServiceRequest) (any, error) {
			if q.serve != nil {
				return q.serve(r)
			}
			body := r.Param("MessageBody")
			q.sent = append(q.sent, body)
			return map[string]string{"MessageId": fmt.Sprint(len(q.sent)), "MD5OfMessageBody": fmt.Sprintf("%x", md5.Sum([]byte(body)))}, nil
		},
	}
}

// send sends a message through the SDK's client.
func send(t testing.TB, cfg aws.Config, options ...func(*sqs.Options)) (string, error) {
	t.Helper()
	cfg.RetryMaxAttempts = 1
	out, err := sqs.NewFromConfig(cfg, options...).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: new(jobsURL), MessageBody: new("hello")})
	if err != nil {
		return "", err
	}
	return *out.MessageId, nil
}

// refusedWith reports whether err is an API error of that code whose message has
// this text.
func refusedWith(err error, code, text string) bool {
	refused, ok := errors.AsType[smithy.APIError](err)
	return ok && refused.ErrorCode() == code && strings.Contains(refused.ErrorMessage(), text)
}

// callerARN returns whom STS takes the caller for.
func callerARN(t testing.TB, cfg aws.Config) string {
	t.Helper()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		return err.Error()
	}
	return *out.Arn
}

// TestHandleAuthorizes shows that a handler serves what the policies of both
// accounts allow and nothing else.
func TestHandleAuthorizes(t *testing.T) {
	const user = "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: sqs:SendMessage on resource: " + jobs + " "
	for name, test := range map[string]struct {
		identity, resource string
		organize           func(*awstest.Organization)
		says               string // empty: allowed
	}{
		"both sides":     {identity: maySend, resource: devMaySend},
		"caller's alone": {identity: maySend, says: user + "because no resource-based policy allows the sqs:SendMessage action"},
		"queue's alone":  {resource: devMaySend, says: user + "because no identity-based policy allows the sqs:SendMessage action"},
		"SCP": {identity: maySend, resource: devMaySend, organize: func(o *awstest.Organization) {
			o.AttachSCP("NoSQS", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sqs:*","Resource":"*"}]}`)
		}, says: user + "with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-"},
		"RCP": {identity: maySend, resource: devMaySend, organize: func(o *awstest.Organization) {
			o.AttachRCP("NoSQS", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":"*"}]}`)
		}, says: user + "with an explicit deny in a resource control policy: arn:aws:organizations::999999999999:policy/o-"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			q := &queue{policy: test.resource}
			w.Handle("sqs", q.handler())
			cfg := w.Config()
			cfg.Credentials = provider(w.dev.UserCredentials("ann", test.identity))
			if test.organize != nil {
				w.Organization().Add(w.dev, w.shared)
				test.organize(w.Organization())
			}
			_, err := send(t, cfg)
			call := w.Calls()[0]
			if call.Operation != "SendMessage" || call.Caller != "arn:aws:iam::111122223333:user/ann" || call.Params["Resource"] != jobs {
				t.Errorf("recorded as %v", call)
			}
			if test.says == "" {
				if err != nil || len(q.sent) != 1 || call.Status != 200 {
					t.Errorf("got %v, %v", err, call)
				}
				return
			}
			if !refusedWith(err, "AccessDenied", test.says) || len(q.sent) != 0 || call.Status != 403 || call.Code != "AccessDenied" || call.Explain == "" {
				t.Errorf("got %v, %d sent, %v", err, len(q.sent), call)
			}
		})
	}
}

// TestHandleServed shows that a listener routes by what a request is signed for,
// and leaves S3 and STS to the cloud.
func TestHandleServed(t *testing.T) {
	w := newWorld()
	q := &queue{policy: devMaySend}
	w.Handle("sqs", q.handler())
	w.shared.CreateBucket("pics").Put("dir/cat", []byte("cat"))
	endpoint := w.Serve(t)
	cfg := w.Config()
	cfg.HTTPClient, cfg.BaseEndpoint = nil, &endpoint
	cfg.Credentials = provider(w.dev.UserCredentials("ann", maySend))
	if id, err := send(t, cfg); id != "1" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
	if arn := callerARN(t, cfg); arn != "arn:aws:iam::111122223333:user/ann" {
		t.Errorf("STS answers %q", arn)
	}
}

// TestHandleFailures holds what becomes of a handler's mistakes: a 500, with the
// reason in the record of calls.
func TestHandleFailures(t *testing.T) {
	needs := func(p awstest.Permission) func(*queue) {
		return func(q *queue) {
			q.needs = func(*awstest.ServiceRequest) ([]awstest.Permission, error) { return []awstest.Permission{p}, nil }
		}
	}
	serves := func(result any, err error) func(*queue) {
		return func(q *queue) { q.serve = func(*awstest.ServiceRequest) (any, error) { return result, err } }
	}
	for name, test := range map[string]struct {
		edit           func(*queue)
		status         int
		code, explains string
	}{
		"Permissions panics": {func(q *queue) {
			q.needs = func(*awstest.ServiceRequest) ([]awstest.Permission, error) { panic("oops") }
		}, 500, "InternalFailure", "the handler of sqs panicked: oops"},
		"Serve panics": {func(q *queue) {
			q.serve = func(*awstest.ServiceRequest) (any, error) { panic("oops") }
		}, 500, "InternalFailure", "the handler of sqs panicked: oops"},
		"an error":     {serves(nil, errors.New("disk full")), 500, "InternalFailure", "the handler of sqs failed: disk full"},
		"no JSON":      {serves(func() {}, nil), 500, "InternalFailure", "returned what is no JSON"},
		"error of SQS": {serves(nil, &awstest.ServiceError{Code: "QueueDoesNotExist", Message: "gone"}), 400, "QueueDoesNotExist", ""},
		"throttled":    {serves(nil, fmt.Errorf("too fast: %w", &awstest.ServiceError{Status: 429, Code: "RequestThrottled"})), 429, "RequestThrottled", ""},
		"nothing needed": {func(q *queue) {
			q.needs = func(*awstest.ServiceRequest) ([]awstest.Permission, error) { return nil, nil }
		}, 501, "NotImplemented", ""},
		"second is missing": {func(q *queue) {
			q.needs = func(*awstest.ServiceRequest) ([]awstest.Permission, error) {
				return []awstest.Permission{{Action: "sqs:SendMessage", Resource: jobs, Policy: devMaySend}, {Action: "kms:Decrypt", Resource: "*"}}, nil
			}
		}, 403, "AccessDenied", "identity policy of"},
		"action pattern":        {needs(awstest.Permission{Action: "sqs:*", Resource: jobs}), 500, "InternalFailure", `names the action "sqs:*"`},
		"action alone":          {needs(awstest.Permission{Action: "SendMessage", Resource: jobs}), 500, "InternalFailure", `names the action "SendMessage"`},
		"resource is no ARN":    {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: "jobs"}), 500, "InternalFailure", `names the resource "jobs"`},
		"resource pattern":      {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:444455556666:*"}), 500, "InternalFailure", "without wildcards"},
		"no such account":       {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: "arn:aws:sqs:us-east-1:777788889999:jobs"}), 500, "InternalFailure", "has no account 777788889999"},
		"global key":            {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: jobs, Keys: map[string][]string{"AWS:SourceVpc": {"x"}}}), 500, "InternalFailure", "AWS:SourceVpc"},
		"malformed policy":      {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: jobs, Policy: "{"}), 500, "InternalFailure", "a policy that AWS refuses"},
		"policy without caller": {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: jobs, Policy: maySend}), 500, "InternalFailure", "a policy that AWS refuses"},
		"policy names no role":  {needs(awstest.Permission{Action: "sqs:SendMessage", Resource: jobs, Policy: strings.Replace(devMaySend, "111122223333", "arn:aws:iam::111122223333:role/none", 1)}), 500, "InternalFailure", "no such role"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			q := &queue{policy: devMaySend}
			test.edit(q)
			w.Handle("sqs", q.handler())
			cfg := w.Config()
			cfg.Credentials = provider(w.dev.UserCredentials("ann", maySend))
			_, err := send(t, cfg)
			call := w.Calls()[0]
			if !refusedWith(err, test.code, "") || call.Status != test.status || call.Code != test.code || !strings.Contains(call.Explain, test.explains) {
				t.Errorf("got %v, %v", err, call)
			}
		})
	}
}

// TestHandleHoldsNoLock shows that a handler may use the cloud, its Go calls and
// requests alike.
func TestHandleHoldsNoLock(t *testing.T) {
	w := newWorld()
	cfg := w.Config()
	cfg.Credentials = provider(w.dev.UserCredentials("ann", maySend))
	q := &queue{policy: devMaySend, serve: func(r *awstest.ServiceRequest) (any, error) {
		w.Account("777788889999").CreateBucket("made-by-a-handler")
		w.Organization().Add(w.dev)
		w.Handle("kms", (&queue{}).handler())
		return map[string]string{"MessageId": callerARN(t, cfg), "MD5OfMessageBody": fmt.Sprintf("%x", md5.Sum([]byte("hello")))}, nil
	}}
	w.Handle("sqs", q.handler())
	if id, err := send(t, cfg); id != "arn:aws:iam::111122223333:user/ann" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}

// TestHandleProtocols shows that refusals are worded so that the SDK's clients
// read code and message, in each protocol.
func TestHandleProtocols(t *testing.T) {
	type answer struct {
		status        int
		code, message string
	}
	asJSON := func(t *testing.T, cfg aws.Config) answer {
		status, body := postJSON(cfg, "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"x"}`)
		code, message, err := restjson.GetErrorInfo(json.NewDecoder(strings.NewReader(body)))
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return answer{status, code, message}
	}
	// Without X-Amz-Target it is a protocol of paths, with the same codes and other
	// statuses.
	asREST := func(t *testing.T, cfg aws.Config) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://secretsmanager.us-east-1.amazonaws.com/secrets/x", strings.NewReader(`{"SecretId":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		status, body := sendSigned(t.Context(), cfg, "secretsmanager", r, `{"SecretId":"x"}`)
		code, message, err := restjson.GetErrorInfo(json.NewDecoder(strings.NewReader(body)))
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return answer{status, code, message}
	}
	asForm := func(t *testing.T, cfg aws.Config) answer {
		form := url.Values{"Action": {"GetSecretValue"}, "SecretId": {"x"}}.Encode()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://secretsmanager.us-east-1.amazonaws.com/", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		status, body := sendSigned(t.Context(), cfg, "secretsmanager", r, form)
		if strings.HasPrefix(body, "<GetSecretValueResponse>") {
			return answer{status, "", body}
		}
		e, err := awsxml.GetErrorResponseComponents(strings.NewReader(body), false)
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return answer{status, e.Code, e.Message}
	}
	const denied = "is not authorized to perform: secretsmanager:GetSecretValue on resource: * because no identity-based policy allows the secretsmanager:GetSecretValue action"
	for name, test := range map[string]struct {
		edit       func(w *world, keys *aws.Credentials)
		json, form answer
	}{
		"denied": {func(*world, *aws.Credentials) {}, answer{400, "AccessDeniedException", denied}, answer{403, "AccessDenied", denied}},
		"expired": {func(w *world, _ *aws.Credentials) { w.hub.RevokeSessions() },
			answer{400, "ExpiredTokenException", "expired"}, answer{403, "ExpiredToken", "expired"}},
		"wrong secret": {func(_ *world, keys *aws.Credentials) { keys.SecretAccessKey = "x" },
			answer{400, "InvalidSignatureException", "does not match"}, answer{403, "SignatureDoesNotMatch", "does not match"}},
		"unknown key": {func(_ *world, keys *aws.Credentials) { keys.AccessKeyID = "ASIAXXXXXXXXXXXXXXXX" },
			answer{400, "UnrecognizedClientException", "invalid"}, answer{403, "InvalidClientTokenId", "invalid"}},
		"allowed": {func(w *world, _ *aws.Credentials) {
			w.hub.SetPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}`)
		}, answer{200, "", ""}, answer{200, "", "<SecretString>x &amp; y</SecretString>"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.Handle("secretsmanager", awstest.ServiceHandler{
				Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
					if r.Param("SecretId") != "x" {
						return nil, fmt.Errorf("SecretId is %q", r.Param("SecretId"))
					}
					if r.Operation != "GetSecretValue" && r.Operation != "PUT /secrets/x" {
						return nil, fmt.Errorf("Operation is %q", r.Operation)
					}
					return []awstest.Permission{{Action: "secretsmanager:GetSecretValue", Resource: "*"}}, nil
				},
				Serve: func(*awstest.ServiceRequest) (any, error) { return map[string]string{"SecretString": "x & y"}, nil },
			})
			keys := w.hubSession(t)
			test.edit(w, &keys)
			cfg := w.Config()
			cfg.Credentials = provider(keys)
			if got := asJSON(t, cfg); got.status != test.json.status || got.code != test.json.code || !strings.Contains(got.message, test.json.message) {
				t.Errorf("JSON: got %+v", got)
			}
			if got := asREST(t, cfg); got.status != test.form.status || got.code != test.json.code || !strings.Contains(got.message, test.json.message) {
				t.Errorf("REST: got %+v", got)
			}
			if got := asForm(t, cfg); got.status != test.form.status || got.code != test.form.code || !strings.Contains(got.message, test.form.message) {
				t.Errorf("query: got %+v", got)
			}
		})
	}
}

// TestHandlePinsPrincipals shows that a resource's policy means the role that had
// the name when it was first seen.
func TestHandlePinsPrincipals(t *testing.T) {
	w := newWorld()
	w.hub.SetPolicy(maySend)
	q := &queue{policy: strings.Replace(devMaySend, "111122223333", hubARN, 1)}
	w.Handle("sqs", q.handler())
	cfg := w.Config()
	cfg.Credentials = provider(w.hubSession(t))
	if _, err := send(t, cfg); err != nil {
		t.Fatal(err)
	}
	w.dev.DeleteRole(w.hub)
	w.hub = w.dev.CreateRole("hub", podTrust(devID, blueIssuer, "default", "app"), maySend)
	cfg.Credentials = provider(w.hubSession(t))
	if _, err := send(t, cfg); !refusedWith(err, "AccessDenied", "because no resource-based policy allows") {
		t.Errorf("the policy names the role that was deleted, and got %v", err)
	}
	q.policy = strings.Replace(q.policy, `"Effect"`, `"Sid":"again","Effect"`, 1)
	if _, err := send(t, cfg); err != nil {
		t.Error(err)
	}
}

// TestHandleKeyPolicies shows that a KMS key's policy must allow, within one
// account too.
func TestHandleKeyPolicies(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1"
	w := newWorld()
	policy := ""
	w.Handle("kms", awstest.ServiceHandler{
		Permissions: func(r *awstest.ServiceRequest) ([]awstest.Permission, error) {
			return []awstest.Permission{{Action: "kms:" + r.Operation, Resource: key, Policy: policy, Keys: map[string][]string{"kms:ViaService": {"s3.us-east-1.amazonaws.com"}}}}, nil
		},
		Serve: func(*awstest.ServiceRequest) (any, error) { return nil, nil },
	})
	cfg := w.Config()
	cfg.Credentials = provider(w.dev.UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`))
	for _, test := range []struct {
		policy string
		status int
		says   string
	}{
		{"", 400, "because no resource-based policy allows the kms:Decrypt action"},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}]}`, 200, "{}"},
		{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}}]}`,
			400, "because no resource-based policy allows the kms:Decrypt action"},
	} {
		policy = test.policy
		if status, body := postJSON(cfg, "kms", "TrentService.Decrypt", `{}`); status != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s: got %d %s", test.policy, status, body)
		}
	}
}

// TestHandleFaults shows that a fault may select an operation of a handler, once
// there is one.
func TestHandleFaults(t *testing.T) {
	w := newWorld()
	throttle := awstest.Fault{Operation: "SendMessage", Times: 1, Status: 400, Code: "ThrottlingException", Message: "slow down"}
	func() {
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, `unknown Operation "SendMessage"`) {
				t.Errorf("panicked with %q", text)
			}
		}()
		w.Fault(throttle)
	}()
	q := &queue{policy: devMaySend}
	w.Handle("sqs", q.handler())
	w.Fault(throttle)
	cfg := w.Config()
	cfg.Credentials = provider(w.dev.UserCredentials("ann", maySend))
	if _, err := send(t, cfg); !refusedWith(err, "ThrottlingException", "slow down") || len(q.sent) != 0 {
		t.Errorf("got %v, %d sent", err, len(q.sent))
	}
	if _, err := send(t, cfg); err != nil {
		t.Error(err)
	}
}

func TestHandleMisuse(t *testing.T) {
	whole := (&queue{}).handler()
	for name, misuse := range map[string]func(*world){
		"sts":            func(w *world) { w.Handle("sts", whole) },
		"s3":             func(w *world) { w.Handle("s3", whole) },
		"iam":            func(w *world) { w.Handle("iam", whole) },
		"no name":        func(w *world) { w.Handle("", whole) },
		"a host":         func(w *world) { w.Handle("sqs.us-east-1", whole) },
		"no Serve":       func(w *world) { w.Handle("sqs", awstest.ServiceHandler{Permissions: whole.Permissions}) },
		"no Permissions": func(w *world) { w.Handle("sqs", awstest.ServiceHandler{Serve: whole.Serve}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "awstest: Handle(") {
					t.Errorf("panicked with %q", text)
				}
			}()
			misuse(newWorld())
		})
	}
}

// TestHandleInBubble shows that a handler runs in the goroutine of its caller, so
// that it may wait on a bubble's clock.
func TestHandleInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		cfg := w.Config()
		cfg.Credentials = provider(w.dev.UserCredentials("ann", maySend))
		q := &queue{policy: devMaySend, serve: func(*awstest.ServiceRequest) (any, error) {
			time.Sleep(time.Hour)
			return nil, &awstest.ServiceError{Status: 404, Code: "QueueDoesNotExist"}
		}}
		w.Handle("sqs", q.handler())
		start := time.Now()
		if _, err := send(t, cfg); !refusedWith(err, "QueueDoesNotExist", "") || time.Since(start) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}
