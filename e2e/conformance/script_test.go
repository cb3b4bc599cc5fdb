package conformance

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// past is the bucket that has versioning.
const past = "pics-past"

// call is a request of the writer to S3, in a row of several.
type call struct {
	line    string // "PUT new/a?uploads": a key of the bucket pics, or a path that begins with "/"
	header  []string
	content string
	signer  func(*world) *aws.Credentials // nil: the writer
	fails   bool                          // a call before the last that must be refused
}

// to is a call with headers: name, value, …
func to(line string, header ...string) call { return call{line: line, header: header} }

// sending is the call with a body.
func (c call) sending(content string) call {
	c.content = content
	return c
}

// refused is the call, which must be refused for the script to go on.
func (c call) refused() call {
	c.fails = true
	return c
}

// blindly is the call by the role that may only get and put objects.
func (c call) blindly() call {
	c.signer = func(w *world) *aws.Credentials { return &w.blind }
	return c
}

// unsigned is the call without a signature.
func (c call) unsigned() call {
	c.signer = func(*world) *aws.Credentials { return nil }
	return c
}

var uploadElement = regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`)

// script is a sequence of calls, the last of which the row compares. In a call,
// {id} stands for the upload that one before it created, {version1} and {tag1} for
// the version id and ETag in the answer to the first call, and {md5} for the
// Content-MD5 of its own body.
func script(calls ...call) func(*world) ask {
	return func(w *world) ask {
		w.t.Helper()
		var names []string
		for i, c := range calls[:len(calls)-1] {
			got := w.do(w.t, c.ask(w, names))
			if got.status >= 300 != c.fails {
				w.t.Fatalf("call %d, %s:\n%s", i+1, c.line, got)
			}
			names = append(names, fmt.Sprintf("{version%d}", i+1), got.header.Get("X-Amz-Version-Id"), fmt.Sprintf("{tag%d}", i+1), got.header.Get("Etag"))
			if m := uploadElement.FindStringSubmatch(got.body); m != nil && strings.HasSuffix(c.line, "?uploads") {
				names = append(names, "{id}", m[1])
			}
		}
		return calls[len(calls)-1].ask(w, names)
	}
}

func (c call) ask(w *world, names []string) ask {
	content := strings.NewReplacer(names...).Replace(c.content)
	sum := md5.Sum([]byte(content))
	fill := strings.NewReplacer(append(names, "{md5}", base64.StdEncoding.EncodeToString(sum[:]))...).Replace
	method, target, _ := strings.Cut(fill(c.line), " ")
	path, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		path = "/" + bucket + "/" + path
	}
	a := ask{method: method, path: path, query: query, header: map[string]string{}, body: content, signer: &w.writer}
	if c.signer != nil {
		a.signer = c.signer(w)
	}
	for i := 0; i < len(c.header); i += 2 {
		a.header[c.header[i]] = fill(c.header[i+1])
	}
	return a
}

// once is a script of one call.
func once(line string, header ...string) func(*world) ask { return script(to(line, header...)) }

// stored is a call that stores text under a key.
func stored(key, text string) call { return to("PUT " + key).sending(text) }

// lengthless makes the last call one without a Content-Length.
func lengthless(build func(*world) ask) func(*world) ask {
	return with(build, func(_ *world, a *ask) { a.lengthless = true })
}

// wanting are headers that the answer must have.
func wanting(pairs ...string) map[string]string {
	header := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		header[http.CanonicalHeaderKey(pairs[i])] = pairs[i+1]
	}
	return header
}
