package s3reader_test

import (
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/crossrole/crossrole/s3reader"
)

// asked is where the last request went.
type asked struct{ url, host string }

func (a *asked) config() aws.Config {
	return server(func(r *http.Request) *http.Response {
		a.url, a.host = r.URL.String(), r.URL.Host
		return answer(200, "x", "Content-Length: 1", `ETag: "e"`)
	}).config()
}

// Case B38.
func TestNewAcceptsWhatNamesABucket(t *testing.T) {
	const key = "path/object/name"
	for _, c := range []struct{ bucket, want string }{
		{"pics", "https://pics.s3.eu-west-1.amazonaws.com/path/object/name"},
		{"my.pics", "https://s3.eu-west-1.amazonaws.com/my.pics/path/object/name"},
		{"pics-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", "https://pics-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias.s3.eu-west-1.amazonaws.com/path/object/name"},
		{"legacy_logs", "https://s3.eu-west-1.amazonaws.com/legacy_logs/path/object/name"},
		{"_logs_", "https://s3.eu-west-1.amazonaws.com/_logs_/path/object/name"},
		{"MyAWSBucket", "https://s3.eu-west-1.amazonaws.com/MyAWSBucket/path/object/name"},
		{strings.Repeat("a", 255), "https://s3.eu-west-1.amazonaws.com/" + strings.Repeat("a", 255) + "/path/object/name"},
		{"tenant:pics", "https://s3.eu-west-1.amazonaws.com/tenant%3Apics/path/object/name"},
		{"arn:aws:s3:::My_Pics", "https://s3.eu-west-1.amazonaws.com/My_Pics/path/object/name"},
		{"arn:aws:s3:::pics", "https://pics.s3.eu-west-1.amazonaws.com/path/object/name"},
		{"arn:aws-cn:s3:::pics", "https://pics.s3.eu-west-1.amazonaws.com/path/object/name"},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint/shared", "https://shared-444455556666.s3-accesspoint.eu-west-1.amazonaws.com/path/object/name"},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint:shared", "https://shared-444455556666.s3-accesspoint.eu-west-1.amazonaws.com/path/object/name"},
	} {
		t.Run(c.bucket, func(t *testing.T) {
			var seen asked
			cfg := seen.config()
			cfg.Region = "eu-west-1"
			r := newReader(t, cfg, c.bucket)
			if seen.url != "" {
				t.Errorf("New asked for %s", seen.url)
			}
			if _, err := r.Get(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if got, _, _ := strings.Cut(seen.url, "?"); got != c.want {
				t.Errorf("asked %s, want %s", got, c.want)
			}
		})
	}
}

// Case B38.
func TestNewRefusesTheRestByName(t *testing.T) {
	cfg := aws.Config{Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}}
	for _, c := range []struct {
		bucket string
		want   []string // in the error, besides the input
	}{
		{"", []string{"no bucket", "bucket name"}},
		{"s3://pics/cat.jpg", []string{"URL", "key to Get"}},
		{"https://pics.s3.amazonaws.com", []string{"URL"}},
		{"pics/cat.jpg", []string{"slash", `"pics"`}},
		{"ab", []string{"3 to 63 characters", "has 2"}},
		{strings.Repeat("a", 256), []string{"up to 255", "has 256"}},
		{"-pics", []string{"at its ends"}},
		{"pics.", []string{"at its ends"}},
		{"pics$", []string{"letters, digits, dots, hyphens and underscores"}},
		{"bücket", []string{"letters, digits, dots, hyphens and underscores"}},
		{"...", []string{"at its ends"}},
		{":pics", []string{"tenant"}},
		{"tenant:", []string{"has 0"}},
		{"a:b:pics", []string{"letters, digits"}},
		{"a-b:pics", []string{"tenant"}},
		{"tenant:192.168.0.1", []string{"IP address"}},
		{"my..pics", []string{"two dots"}},
		{"192.168.0.1", []string{"IP address"}},
		{" pics", []string{"at its ends"}},
		{"pics\n", []string{"at its ends"}},
		{"ol-ap-x--ol-s3", []string{"Object Lambda"}},
		{"out-ap-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3", []string{"Outposts"}},
		{"fast--usw2-az1--x-s3", []string{"directory bucket", "s3.NewFromConfig(cfg)", "general purpose bucket"}},
		{"fast--usw2-az1--xa-s3", []string{"access point of an S3 Express directory bucket", "s3.NewFromConfig(cfg)"}},
		{"mfzwi23gnjvgw.mrap", []string{"Multi-Region"}},
		{"arn:aws:s3", []string{"not an ARN"}},
		{"arn:aws:s3:::", []string{"not an ARN"}},
		{"arn:nope:s3:::pics", []string{"not an ARN"}},
		{"arn:aws:s3:::pics/cat.jpg", []string{"ARN of an object", `"cat.jpg"`, `give "pics"`}},
		{"arn:aws:s3:::pics/*", []string{"ARN of an object"}},
		{"arn:aws:s3:::arn:aws:s3:::pics", []string{"ARN within an ARN"}},
		{"arn:aws:s3:::Pics!", []string{"letters"}},
		{"arn:aws:s3:eu-west-1::pics", []string{"no region and no account"}},
		{"arn:aws:iam::444455556666:role/S3_Pics", []string{`service "iam"`}},
		{"arn:aws:s3-outposts:eu-west-1:444455556666:outpost/op-1/accesspoint/shared", []string{"Outposts", "not supported"}},
		{"arn:aws:s3-object-lambda:eu-west-1:444455556666:accesspoint/shared", []string{"Object Lambda", "not supported"}},
		{"arn:aws:s3express:eu-west-1:444455556666:bucket/fast--euw1-az1--x-s3", []string{"directory bucket", "not supported", "s3.NewFromConfig(cfg)"}},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint/shared/object/a/object/b", []string{"ARN of an object", `(key "a/object/b")`, `give "arn:aws:s3:eu-west-1:444455556666:accesspoint/shared"`}},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint:shared:object:a", []string{"ARN of an object", `(key "a")`}},
		{"arn:aws:s3:eu-west-1::accesspoint/shared", []string{"no account", "12 digits"}},
		{"arn:aws:s3::444455556666:accesspoint/shared", []string{"no region"}},
		{"arn:aws:s3::444455556666:accesspoint/mfzwi23gnjvgw.mrap", []string{"Multi-Region"}},
		{"arn:aws:s3:evil.example/#:444455556666:accesspoint/shared", []string{"not a region"}},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint/Shared", []string{"access-point name"}},
		{"arn:aws:s3:eu-west-1:444455556666:accesspoint/", []string{"access-point name"}},
		{"arn:aws:s3:eu-west-1:444455556666:job/1", []string{"neither a bucket's nor an access point's"}},
	} {
		t.Run(c.bucket, func(t *testing.T) {
			r, err := s3reader.New(cfg, c.bucket)
			if err == nil {
				t.Fatalf("accepted, asks at %s", r.Client().Options().Region)
			}
			if e, ok := errors.AsType[*s3reader.Error](err); !ok || e.Op != "new" || e.Bucket != c.bucket {
				t.Errorf("not an *Error of New: %#v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q is not one line", err)
			}
		})
	}
}

func TestNewRefusesSettings(t *testing.T) {
	type options = s3reader.Options
	for _, c := range []struct {
		name string
		cfg  func(*aws.Config)
		opts func(*options)
		want string
	}{
		{"no credentials", func(c *aws.Config) { c.Credentials = nil }, nil, "cfg.Credentials is nil"},
		{"no region", func(c *aws.Config) { c.Region = "" }, nil, "no region: set cfg.Region"},
		{"bad region", func(c *aws.Config) { c.Region = "eu_west" }, nil, `cfg.Region "eu_west" is not a region`},
		{"bad option region", nil, func(o *options) { o.Region = "a.b" }, `Options.Region "a.b" is not a region`},
		{"owner", nil, func(o *options) { o.ExpectedBucketOwner = "4444" }, "12 digits"},
		{"part size", nil, func(o *options) { o.PartSize = -1 }, "must not be negative"},
		{"memory", nil, func(o *options) { o.Memory = -1 }, "must not be negative"},
		{"concurrency", nil, func(o *options) { o.Concurrency = -1 }, "must not be negative"},
		{"stall", nil, func(o *options) { o.StallTimeout = -1 }, "StallTimeout -1ns is negative"},
		{"verify", nil, func(o *options) { o.Verify = 7 }, "Verify 7 is unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := aws.Config{Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}}
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			if c.opts == nil {
				c.opts = func(*options) {}
			}
			if _, err := s3reader.New(cfg, "pics", c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestNewRegionOfAnAccessPoint(t *testing.T) {
	const arn = "arn:aws:s3:eu-west-1:444455556666:accesspoint/shared"
	for _, c := range []struct {
		cfg, option string
		ok          bool
	}{
		{"eu-west-1", "", true},
		{"", "", true},
		{"us-east-1", "eu-west-1", true},
		{"us-east-1", "", false},
		{"eu-west-1", "us-east-1", false},
	} {
		r, err := s3reader.New(aws.Config{Region: c.cfg, Credentials: aws.AnonymousCredentials{}}, arn, func(o *s3reader.Options) { o.Region = c.option })
		switch {
		case c.ok && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.ok && r.Client().Options().Region != "eu-west-1":
			t.Errorf("%+v: asks in %s", c, r.Client().Options().Region)
		case !c.ok && !errors.Is(err, s3reader.WrongRegion):
			t.Errorf("%+v: got %v, want WrongRegion", c, err)
		case !c.ok && (!strings.Contains(err.Error(), "eu-west-1") || !strings.Contains(err.Error(), "us-east-1")):
			t.Errorf("%+v: %v does not name both regions", c, err)
		}
	}
}

func TestEndpointsDecideWhereTheBucketGoes(t *testing.T) {
	for _, c := range []struct{ endpoint, want string }{
		{"http://127.0.0.1:9000", "http://127.0.0.1:9000/pics/k"},
		{"http://[::1]:9000", "http://[::1]:9000/pics/k"},
		{"http://localhost:9000", "http://localhost:9000/pics/k"},
		{"http://LOCALHOST:9000", "http://LOCALHOST:9000/pics/k"},
		{"http://minio:9000", "http://minio:9000/pics/k"},
		{"http://minio.storage.svc:9000", "http://minio.storage.svc:9000/pics/k"},
		{"https://minio.storage.svc.cluster.local.", "https://minio.storage.svc.cluster.local./pics/k"},
		{"http://minio.storage:9000", "http://minio.storage:9000/pics/k"},
		{"http://MinIO.Storage.SVC.:9000", "http://MinIO.Storage.SVC.:9000/pics/k"},
		{"http://minio-0.minio.storage.svc:9000", "http://minio-0.minio.storage.svc:9000/pics/k"},
		{"http://minio-0.minio.storage.svc.cluster.local:9000", "http://minio-0.minio.storage.svc.cluster.local:9000/pics/k"},
		{"https://minio-0.minio.storage.svc.k8s.corp.example.", "https://minio-0.minio.storage.svc.k8s.corp.example./pics/k"},
		{"https://minio.storage.svc.k8s.example", "https://minio.storage.svc.k8s.example/pics/k"},
		{"http://10-1-2-3.storage.pod.cluster.local", "http://10-1-2-3.storage.pod.cluster.local/pics/k"},
		{"http://10-1-2-3.storage.pod.k8s.example", "http://10-1-2-3.storage.pod.k8s.example/pics/k"},
		{"http://gateway.cluster.local", "http://gateway.cluster.local/pics/k"},
		{"http://s3.localhost:9000", "http://s3.localhost:9000/pics/k"},
		{"http://localhost.:9000", "http://localhost.:9000/pics/k"},
		{"http://[fd00:ec2::1]", "http://[fd00:ec2::1]/pics/k"},
		{"http://10.0.0.1", "http://10.0.0.1/pics/k"},
		{"http://s3.svc.example.com", "http://pics.s3.svc.example.com/k"},
		{"http://s3.pod.example.com", "http://pics.s3.pod.example.com/k"},
		{"https://s3.example.com", "https://pics.s3.example.com/k"},
		{"https://bucket.vpce-1a2b-5e6f.s3.eu-west-1.vpce.amazonaws.com", "https://pics.bucket.vpce-1a2b-5e6f.s3.eu-west-1.vpce.amazonaws.com/k"},
	} {
		for _, how := range []string{"cfg", "Options.S3"} {
			var seen asked
			cfg := seen.config()
			var opts s3reader.Options
			if how == "cfg" {
				cfg.BaseEndpoint = &c.endpoint
			} else {
				opts.S3 = func(o *s3.Options) { o.BaseEndpoint = &c.endpoint }
			}
			r := newReader(t, cfg, "pics", func(o *s3reader.Options) { *o = opts })
			if _, err := r.Get(t.Context(), "k"); err != nil {
				t.Errorf("%s by %s: %v", c.endpoint, how, err)
			}
			if got, _, _ := strings.Cut(seen.url, "?"); got != c.want {
				t.Errorf("%s by %s: asked %s, want %s", c.endpoint, how, got, c.want)
			}
		}
	}
}

func TestPathStyle(t *testing.T) {
	endpoint := "https://s3.example.com"
	for _, c := range []struct {
		bucket   string
		endpoint *string
		s3       func(*s3.Options)
		want     string
	}{
		{"pics", &endpoint, nil, "https://s3.example.com/pics/k"},
		{"pics", nil, nil, "https://s3.us-east-1.amazonaws.com/pics/k"},
		{"pics", &endpoint, func(o *s3.Options) { o.UsePathStyle = false }, "https://pics.s3.example.com/k"},
	} {
		var seen asked
		cfg := seen.config()
		cfg.BaseEndpoint = c.endpoint
		r := newReader(t, cfg, c.bucket, func(o *s3reader.Options) { o.PathStyle, o.S3 = true, c.s3 })
		if _, err := r.Get(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		if got, _, _ := strings.Cut(seen.url, "?"); got != c.want {
			t.Errorf("asked %s, want %s", got, c.want)
		}
	}
	cfg := aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}
	_, err := s3reader.New(cfg, "arn:aws:s3:us-east-1:444455556666:accesspoint/shared", func(o *s3reader.Options) { o.PathStyle = true })
	if err == nil || !strings.Contains(err.Error(), "Options.PathStyle") {
		t.Errorf("an access-point ARN: %v", err)
	}
}

func TestOptionsS3HasTheLastWord(t *testing.T) {
	var seen asked
	cfg := seen.config()
	endpoint := "http://localhost:9000"
	cfg.BaseEndpoint = &endpoint
	r := newReader(t, cfg, "pics", func(o *s3reader.Options) {
		o.S3 = func(o *s3.Options) { o.UsePathStyle = false }
	})
	if _, err := r.Get(t.Context(), "k"); err != nil || seen.host != "pics.localhost:9000" {
		t.Errorf("asked %s, %v", seen.host, err)
	}
	_, err := s3reader.New(cfg, "arn:aws:s3:us-east-1:444455556666:accesspoint/shared")
	if err == nil || !strings.Contains(err.Error(), "access point's alias") {
		t.Errorf("an access-point ARN at a path-style endpoint: %v", err)
	}
}

// The SDK's own comparison would come on top of the reader's, for each answer.
func TestChecksumSettingsOfTheClient(t *testing.T) {
	cfg := newShelf().cloud.Config()
	settings := func(optFns ...func(*s3reader.Options)) [2]int {
		o := newReader(t, cfg, "pics", optFns...).Client().Options()
		return [2]int{int(o.ResponseChecksumValidation), int(o.RequestChecksumCalculation)}
	}
	if got := settings(); got != [2]int{int(aws.ResponseChecksumValidationWhenRequired), int(aws.RequestChecksumCalculationWhenRequired)} {
		t.Errorf("got %v", got)
	}
	forced := settings(func(o *s3reader.Options) {
		o.S3 = func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported }
	})
	if forced[0] != int(aws.ResponseChecksumValidationWhenSupported) {
		t.Errorf("Options.S3 is ignored: got %v", forced)
	}
}

// The slices of an aws.Config have spare room that an append would write to.
func TestNewLeavesTheConfigAlone(t *testing.T) {
	s := newShelf()
	s.Put("k", []byte("v"))
	cfg := s.config(mayRead)
	spare := make([]func(*middleware.Stack) error, 0, 8)
	cfg.APIOptions = append(spare, func(*middleware.Stack) error { return nil })
	before := cfg.Copy()
	r := newReader(t, cfg, "pics", func(o *s3reader.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	if _, err := r.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	for i, fn := range cfg.APIOptions[:8][1:] {
		if fn != nil {
			t.Errorf("spare slot %d of cfg.APIOptions was written to", i+1)
		}
	}
	cfg.APIOptions, before.APIOptions = nil, nil
	if !reflect.DeepEqual(cfg, before) {
		t.Error("cfg was changed")
	}
}

func TestNilOptions(t *testing.T) {
	cfg := aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}
	if _, err := s3reader.New(cfg, "pics", nil); err == nil || !strings.Contains(err.Error(), "optFns[0] is nil") {
		t.Errorf("New: %v", err)
	}
	r, err := s3reader.New(cfg, "pics")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := r.DownloadDir(t.Context(), "", t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "optFns[0] is nil") || sum == nil {
		t.Errorf("DownloadDir: %v, %v", sum, err)
	}
}
