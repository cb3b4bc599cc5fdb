package s3reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

// gallery is a pod with a direct chain to the bucket pics.
func gallery(t *testing.T) (*awstest.Cloud, *awstest.Bucket, aws.Config) {
	t.Helper()
	cloud := awstest.New()
	shared := cloud.Account("444455556666")
	cluster := cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	shared.AddOIDCProvider(cluster)
	role := shared.CreateRole("S3_Pics", trust.WebIdentityPolicy(shared.ID(), []string{cluster.Issuer()}, []string{awstest.Subject("default", "reader")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	bucket := shared.CreateBucket("pics")
	bucket.Put("a b/cat+1.jpg", []byte("meow"))
	pod := cluster.Pod(t.TempDir(), "default", "reader", role.ARN())
	cfg, err := credentials.Wrap(cloud.Config(), func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: pod.RoleARN(), TokenFile: pod.TokenFile()}
	})
	if err != nil {
		t.Fatal(err)
	}
	return cloud, bucket, cfg
}

// visit opens a link as a browser would.
func visit(t *testing.T, cloud *awstest.Cloud, link *s3reader.Link) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := cloud.Config().HTTPClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func signedFor(t *testing.T, link *s3reader.Link) string {
	t.Helper()
	u, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("X-Amz-Expires")
}

// Case B23: a session that is too short is renewed first; more than any session
// can give is refused.
func TestPresignRenewsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, _, cfg := gallery(t)
		pics := newReader(t, cfg, "pics")
		if _, err := pics.Get(t.Context(), "a b/cat+1.jpg"); err != nil {
			t.Fatal(err)
		}
		chain, _ := credentials.ChainOf(cfg)
		time.Sleep(50 * time.Minute)
		if left := time.Until(chain.Status().Hops[0].Expires); left > 10*time.Minute {
			t.Fatalf("%v left: the test needs an old session", left)
		}
		link, err := pics.Presign(t.Context(), "a b/cat+1.jpg", 30*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(link.Expires); left != 30*time.Minute || signedFor(t, link) != "1800" {
			t.Errorf("expires in %v, signed for %s s; want 30 minutes", left, signedFor(t, link))
		}
		time.Sleep(30*time.Minute - time.Second)
		if status, body := visit(t, cloud, link); status != 200 || body != "meow" {
			t.Errorf("just before its end: %d %q", status, body)
		}
		time.Sleep(2 * time.Second)
		if status, _ := visit(t, cloud, link); status != 403 {
			t.Errorf("after its end: %d, want 403", status)
		}
		_, err = pics.Presign(t.Context(), "a b/cat+1.jpg", 7*24*time.Hour)
		if !errors.Is(err, credentials.ConfigInvalid) || !strings.Contains(err.Error(), "at most 59m59s") {
			t.Errorf("seven days: %v, want %v with the most that there is", err, credentials.ConfigInvalid)
		}
	})
}

// Credentials that cannot be asked for more: the link ends with them.
func TestPresignIsCappedByOtherCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, _, cfg := gallery(t)
		chain, _ := credentials.ChainOf(cfg)
		cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			creds, err := chain.Retrieve(ctx)
			creds.Expires = time.Now().Add(10 * time.Minute)
			return creds, err
		})
		link, err := newReader(t, cfg, "pics").Presign(t.Context(), "a b/cat+1.jpg", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(link.Expires); left != 10*time.Minute || signedFor(t, link) != "600" {
			t.Errorf("expires in %v, signed for %s s; want the credentials' ten minutes", left, signedFor(t, link))
		}
		if status, body := visit(t, cloud, link); status != 200 || body != "meow" {
			t.Errorf("%d %q", status, body)
		}
	})
}

// A link is made for the bucket's own region, which is learnt first.
func TestPresignInTheBucketsRegion(t *testing.T) {
	cloud, bucket, cfg := gallery(t)
	bucket.SetRegion("eu-west-1")
	link, err := newReader(t, cfg, "pics").Presign(t.Context(), "a b/cat+1.jpg", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(link.URL, ".eu-west-1.") {
		t.Errorf("the link leads to %s", link)
	}
	if status, body := visit(t, cloud, link); status != 200 || body != "meow" {
		t.Errorf("%d %q", status, body)
	}
}

func TestPresignRefuses(t *testing.T) {
	_, _, cfg := gallery(t)
	pics := newReader(t, cfg, "pics")
	for _, ttl := range []time.Duration{0, -time.Second, 1500 * time.Millisecond, 8 * 24 * time.Hour} {
		if _, err := pics.Presign(t.Context(), "k", ttl); err == nil || !strings.Contains(err.Error(), "give whole seconds") {
			t.Errorf("ttl %v: %v", ttl, err)
		}
	}
	if _, err := pics.Presign(t.Context(), "", time.Minute); !errors.Is(err, s3reader.BadKey) {
		t.Errorf("no key: %v, want %v", err, s3reader.BadKey)
	}
}

func TestLinkPrintsNoQuery(t *testing.T) {
	_, _, cfg := gallery(t)
	link, err := newReader(t, cfg, "pics").Presign(t.Context(), "k", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	text, err := link.MarshalText()
	for _, s := range []string{fmt.Sprint(link), fmt.Sprintf("%+v %#v %s %q", link, *link, link, link), string(text)} {
		if err != nil || strings.Contains(s, "X-Amz-") || strings.Contains(s, "/k") {
			t.Errorf("prints %s, %v", s, err)
		}
	}
}

func ExampleReader_Presign() {
	pics := sharedReader()
	link, err := pics.Presign(context.Background(), "indoor-cat.jpg", 15*time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	u, _ := url.Parse(link.URL)
	fmt.Println(u.Path, u.Query().Get("X-Amz-Expires"))
	// Output: /indoor-cat.jpg 900
}

// A link that a browser saves under a name.
func ExampleReader_Presign_fileName() {
	link, err := sharedReader().Presign(context.Background(), "cats/indoor.txt", 15*time.Minute, func(o *s3reader.LinkOptions) {
		o.FileName, o.ContentType = "Müller's cat.txt", "text/plain; charset=utf-8"
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	u, _ := url.Parse(link.URL)
	fmt.Println(u.Query().Get("response-content-disposition"))
	// Output: attachment; filename="M_ller's cat.txt"; filename*=UTF-8''M%C3%BCller%27s%20cat.txt
}

// What a browser makes of a link's headers is the name that was asked for.
func TestLinksWithAName(t *testing.T) {
	s := newShelf()
	s.SetVersioning()
	old := s.Put("k", []byte("old"))
	s.Put("k", []byte("new"))
	r := s.reader(t, mayVersion)
	for _, name := range []string{"cat.jpg", "a b.txt", `quo"te.txt`, "50%.txt", "Müller.txt", "猫.jpg", "semi;colon=x.txt", "'s.txt", "a,b", "\u202egpj.exe"} {
		link, err := r.Presign(t.Context(), "k", time.Minute, func(o *s3reader.LinkOptions) {
			o.FileName, o.ContentType, o.VersionID = name, "text/plain; charset=utf-8", old.VersionID
		})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.cloud.Config().HTTPClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "old" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%q: %d %q, %v", name, resp.StatusCode, body, err)
		}
		disposition, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
		if err != nil || disposition != "attachment" || params["filename"] != name {
			t.Errorf("%q: %s is %q, %q, %v", name, resp.Header.Get("Content-Disposition"), disposition, params["filename"], err)
		}
	}
}

func TestLinkOptionsRefused(t *testing.T) {
	s := newShelf()
	r := s.reader(t, mayRead)
	for want, set := range map[string]func(*s3reader.LinkOptions){
		"FileName \"a\\r\\nX: y\"":   func(o *s3reader.LinkOptions) { o.FileName = "a\r\nX: y" },
		"FileName \"a\\x00\"":        func(o *s3reader.LinkOptions) { o.FileName = "a\x00" },
		"FileName \"a\\u0085b\"":     func(o *s3reader.LinkOptions) { o.FileName = "a\u0085b" },
		"FileName \"\\xff\"":         func(o *s3reader.LinkOptions) { o.FileName = "\xff" },
		"FileName \"../up\"":         func(o *s3reader.LinkOptions) { o.FileName = "../up" },
		"FileName \"up\\\\x\"":       func(o *s3reader.LinkOptions) { o.FileName = "up\\x" },
		"ContentType \"text\\r\\n\"": func(o *s3reader.LinkOptions) { o.ContentType = "text\r\n" },
		"ContentType \"text/ü\"":     func(o *s3reader.LinkOptions) { o.ContentType = "text/ü" },
		"VersionID \"a\\n\"":         func(o *s3reader.LinkOptions) { o.VersionID = "a\n" },
	} {
		_, err := r.Presign(t.Context(), "k", time.Minute, set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := r.Presign(t.Context(), "k", time.Minute, nil); err == nil || !strings.Contains(err.Error(), "optFns[0] is nil") {
		t.Errorf("nil: got %v", err)
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("asked for %q", got)
	}
}
