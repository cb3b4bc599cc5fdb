package awstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
)

// who asks for the caller's identity once, without retries.
func (w *world) who(ctx context.Context, keys aws.Credentials) error {
	_, err := w.as(keys).GetCallerIdentity(ctx, nil)
	return err
}

func TestFaultStrikes(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	w.Fault(awstest.Fault{Operation: "GetCallerIdentity", Skip: 1, Times: 2, Status: 400, Code: "Throttling", Message: "Rate exceeded"})
	remove := w.Fault(awstest.Fault{Operation: "GetCallerIdentity", Status: 503, Code: "ServiceUnavailable"})
	w.Fault(awstest.Fault{Operation: "AssumeRole", Status: 500, Code: "InternalFailure"})
	var got []string
	for range 5 {
		got = append(got, code(w.who(t.Context(), hub)))
	}
	remove()
	remove()
	got = append(got, code(w.who(t.Context(), hub)))
	if want := "[ServiceUnavailable Throttling Throttling ServiceUnavailable ServiceUnavailable ]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFaultSelects(t *testing.T) {
	w := newWorld()
	hub, other := w.hubSession(t), w.hubSession(t)
	remove := w.Fault(awstest.Fault{AccessKeyID: hub.AccessKeyID, Status: 403, Code: "ExpiredToken"})
	if got := code(w.who(t.Context(), hub)) + "," + code(w.who(t.Context(), other)); got != "ExpiredToken," {
		t.Errorf("by key: %s", got)
	}
	remove()
	w.Fault(awstest.Fault{RoleARN: targetARN, Status: 403, Code: "RegionDisabledException"})
	_, err := w.assume(t, hub, targetARN)
	if code(err) != "RegionDisabledException" || w.who(t.Context(), hub) != nil {
		t.Errorf("by role: %v", err)
	}
}

func TestFaultBodyAndHeader(t *testing.T) {
	w := newWorld()
	w.Fault(awstest.Fault{Times: 1, Status: 502, Code: "BadGateway", Body: "<html>proxy</html>", Header: map[string]string{"Content-Type": "text/html"}})
	resp, err := w.Config().HTTPClient.Do(formRequest(t, "https://sts.us-east-1.amazonaws.com", identityForm))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Content-Type") != "text/html" || resp.ContentLength != int64(len("<html>proxy</html>")) {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

func TestDropAndHang(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world, client doer, endpoint string) {
		w.Fault(awstest.Fault{Operation: "GetCallerIdentity", Drop: true})
		_, err := client.Do(formRequest(t, endpoint, identityForm))
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("dropped: %v", err)
		}
		w.Fault(awstest.Fault{Operation: "AssumeRole", Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		r := formRequest(t, endpoint, assumeForm())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := client.Do(r.WithContext(ctx)); !errors.Is(err, context.Canceled) {
			t.Errorf("hanging: %v", err)
		}
		for _, c := range w.Calls() {
			if c.Status != 0 || !strings.HasSuffix(c.String(), "→ no answer") {
				t.Errorf("recorded as %v", c)
			}
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		hub := w.hubSession(t)
		w.Fault(awstest.Fault{Operation: "GetCallerIdentity", Delay: time.Minute})
		start := time.Now()
		if err := w.who(t.Context(), hub); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.who(ctx, hub); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
	})
}

func TestFaultySessions(t *testing.T) {
	w := newWorld()
	hub := w.hubSession(t)
	past := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	w.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, Expiration: &past})
	w.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, NoExpiration: true})
	w.Fault(awstest.Fault{Operation: "AssumeRole", Times: 1, WrongRole: "arn:aws:iam::777788889999:role/x/evil"})
	var outs []*sts.AssumeRoleOutput
	for range 4 {
		out, err := w.assume(t, hub, targetARN)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	if end := outs[0].Credentials.Expiration; !end.Equal(past) {
		t.Errorf("ends at %v, want %v", end, past)
	}
	if err := w.who(t.Context(), credentialsOf(outs[0].Credentials)); err != nil {
		t.Errorf("the session behind a false Expiration: %v", err)
	}
	if end := outs[1].Credentials.Expiration; end != nil {
		t.Errorf("ends at %v, want no end", end)
	}
	if got := aws.ToString(outs[2].AssumedRoleUser.Arn); got != "arn:aws:sts::777788889999:assumed-role/evil/pod" {
		t.Errorf("AssumedRoleUser is %s", got)
	}
	if got := aws.ToString(outs[3].AssumedRoleUser.Arn); got != "arn:aws:sts::444455556666:assumed-role/S3_Pics/pod" {
		t.Errorf("after the faults AssumedRoleUser is %s", got)
	}
}

// TestServerClock shows what a server says whose clock is 40 minutes ahead: the
// SDK learns of it, signs anew, and the session lives as long as it should.
func TestServerClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ahead := range []time.Duration{40 * time.Minute, -40 * time.Minute} {
			w := newWorld()
			w.Fault(awstest.Fault{ServerClock: ahead})
			a := post(t, w.Config().HTTPClient, "https://sts.us-east-1.amazonaws.com", webIdentityForm(w), nil)
			date, err := http.ParseTime(a.header.Get("Date"))
			if err != nil || a.status != http.StatusOK || time.Until(date).Round(time.Second) != ahead {
				t.Fatalf("Date is %v at %v: %d %s", date, time.Now(), a.status, a.body)
			}
			cfg := w.Config()
			cfg.Credentials = provider(w.hubSession(t))
			out, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: new(targetARN), RoleSessionName: new("pod")})
			if err != nil {
				t.Fatalf("%v\n%v", err, w.Calls())
			}
			if life := out.Credentials.Expiration.Sub(date).Round(time.Minute); life != time.Hour {
				t.Errorf("the session ends %v after the server's Date", life)
			}
			var codes []string
			for _, c := range w.Calls() {
				if c.Operation == "AssumeRole" {
					codes = append(codes, c.Code)
				}
			}
			if fmt.Sprint(codes) != "[SignatureDoesNotMatch ]" {
				t.Errorf("AssumeRole was answered %q", codes)
			}
		}
	})
}

// TestServerClockOfS3 shows that S3 refuses a signing time that is too far off, and
// that the SDK learns the server's time from the response.
func TestServerClockOfS3(t *testing.T) {
	for _, ahead := range []time.Duration{16 * time.Minute, -16 * time.Minute} {
		w := newWorld()
		w.shared.CreateBucket("pics").Put("cat.jpg", nil)
		cfg := w.Config()
		cfg.Credentials = provider(w.shared.AdminKey())
		client := s3.NewFromConfig(cfg)
		w.Fault(awstest.Fault{ServerClock: ahead})
		for range 2 {
			if _, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")}); err != nil {
				t.Fatal(err)
			}
		}
		var codes []string
		for _, c := range w.Calls() {
			codes = append(codes, c.Code)
		}
		if fmt.Sprint(codes) != "[RequestTimeTooSkewed  ]" {
			t.Errorf("%v ahead: %q", ahead, codes)
		}
	}
}

// TestShortSessions reads for two hours with sessions that live eight seconds: the
// chain renews both before every read, and none is refused.
func TestShortSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.shared.CreateBucket("pics").Put("cat.jpg", []byte("meow"))
		w.Fault(awstest.Fault{SessionLife: 8 * time.Second})
		pod := w.blue.Pod(t.TempDir(), "default", "app", hubARN)
		cfg, err := credentials.Wrap(w.Config(), credentials.Assume(targetARN), func(o *credentials.Options) {
			o.Source = credentials.WebIdentity{RoleARN: hubARN, TokenFile: pod.TokenFile()}
		})
		if err != nil {
			t.Fatal(err)
		}
		client := s3.NewFromConfig(cfg)
		start := time.Now()
		for time.Since(start) < 2*time.Hour {
			if _, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("pics"), Key: new("cat.jpg")}); err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			time.Sleep(9 * time.Second)
		}
		count := map[string]int{}
		for _, c := range w.Calls() {
			count[c.Operation+" "+c.Code]++
		}
		if want := "map[AssumeRole :800 AssumeRoleWithWebIdentity :800 GetObject :800]"; fmt.Sprint(count) != want {
			t.Errorf("calls: %v\nwant   %s", count, want)
		}
	})
}

// TestSessionLife shows that a session dies when the response says so, also one that
// lives longer than AWS allows.
func TestSessionLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, life := range []time.Duration{time.Second, 8 * time.Second, 100 * time.Hour} {
			w := newWorld()
			remove := w.Fault(awstest.Fault{RoleARN: targetARN, SessionLife: life})
			out, err := w.assume(t, w.hubSession(t), targetARN)
			if err != nil || time.Until(*out.Credentials.Expiration) != life {
				t.Fatalf("%v, %v", out, err)
			}
			remove()
			session := credentialsOf(out.Credentials)
			time.Sleep(life - time.Nanosecond)
			before := w.who(t.Context(), session)
			time.Sleep(time.Nanosecond)
			if after := w.who(t.Context(), session); before != nil || code(after) != "ExpiredToken" {
				t.Errorf("%v: before the end %v, then %v", life, before, after)
			}
		}
	})
}

// Sessions of eight seconds let a test see its program renew them.
func ExampleFault_sessionLife() {
	cloud := awstest.New()
	cloud.Fault(awstest.Fault{SessionLife: 8 * time.Second})
	dev := cloud.Account("111122223333")
	dev.CreateRole("app", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}]}`, "")
	cfg := cloud.Config()
	keys := dev.AdminKey()
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil })
	out, err := sts.NewFromConfig(cfg).AssumeRole(context.Background(), &sts.AssumeRoleInput{
		RoleArn: new("arn:aws:iam::111122223333:role/app"), RoleSessionName: new("me"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(time.Until(*out.Credentials.Expiration) <= 8*time.Second)
	// Output: true
}
