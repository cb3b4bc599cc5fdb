package s3reader_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/s3reader"
)

// spelling sends on what another client gets, with ETags spelled in its own way.
type spelling struct {
	aws.HTTPClient
	listing, header func(etag string) string // given without quotes
}

func (s spelling) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	if tag := resp.Header.Get("ETag"); tag != "" {
		resp.Header.Set("ETag", s.header(strings.Trim(tag, `"`)))
	}
	if strings.Contains(req.URL.RawQuery, "list-type") {
		page, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		var out bytes.Buffer
		for {
			before, rest, ok := bytes.Cut(page, []byte("<ETag>"))
			out.Write(before)
			if !ok {
				break
			}
			tag, after, _ := bytes.Cut(rest, []byte("</ETag>"))
			out.WriteString("<ETag>" + s.listing(strings.NewReplacer("&#34;", "", "&quot;", "").Replace(string(tag))) + "</ETag>")
			page = after
		}
		resp.Body = io.NopCloser(&out)
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
	}
	return resp, nil
}

// However a store spells its ETags, they are one to us: no request is made in
// vain, and no download takes a file for an older version.
func TestETagSpellings(t *testing.T) {
	bare := func(s string) string { return s }
	quoted := func(s string) string { return `"` + s + `"` }
	weak := func(s string) string { return `W/"` + s + `"` }
	entities := func(s string) string { return "&quot;" + s + "&quot;" }
	for name, c := range map[string]spelling{
		"as S3":                    {nil, entities, quoted},
		"bare in listings":         {nil, bare, quoted},
		"bare in headers":          {nil, entities, bare},
		"bare in both":             {nil, bare, bare},
		"weak in headers":          {nil, entities, weak},
		"weak and bare, by a hair": {nil, bare, func(s string) string { return "W/" + s }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.putAll("a", "b")
			big := noise(20 * partSize)
			s.Put("big", big)
			cfg := s.config(mayList)
			c.HTTPClient = cfg.HTTPClient
			cfg.HTTPClient = c
			dir := t.TempDir()
			r := newReader(t, cfg, "pics")
			want := ""
			for info, err := range r.List(t.Context(), "b") {
				if err != nil {
					t.Fatal(err)
				}
				want = info.ETag
				stat, err := r.Stat(t.Context(), info.Key)
				if err != nil || stat.ETag != want || !strings.HasPrefix(want, `"`) {
					t.Errorf("listed as %s, is %+v, %v", want, stat, err)
				}
				break
			}
			had := len(s.requests())
			for i, unchanged := range []int{0, 3} {
				sum, err := r.DownloadDir(t.Context(), "", dir)
				if err != nil || sum.Files != 3 || sum.Unchanged != unchanged {
					t.Errorf("call %d: got %+v, %v", i, sum, err)
				}
			}
			if n := len(s.requests()) - had; n != 2+3 {
				t.Errorf("%d requests: %q", n, s.requests()[had:])
			}
			ranges := newReader(t, cfg, "pics", parts, func(o *s3reader.Options) { o.Concurrency = 4 })
			var w memory
			if _, err := ranges.Download(t.Context(), "big", &w); err != nil {
				t.Fatal(err)
			}
			same(t, w.data, big)
		})
	}
}
