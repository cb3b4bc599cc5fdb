package trust_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

func FuzzParseToken(f *testing.F) {
	f.Add([]byte(jwt(claims)), []byte(claims))
	f.Add([]byte(jwt(claims)+"\r\n"), []byte(`{"iss":"a","sub":"system:serviceaccount:a:b","aud":"x","exp":1e9,"iat":null}`))
	f.Add([]byte("a.b.c"), []byte(`{"exp":1e400,"aud":[[[]]],"kubernetes.io":{"pod":null}}`))
	f.Add([]byte(""), []byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, raw, payload []byte) {
		for _, document := range [][]byte{raw, []byte(jwt(string(payload)))} {
			token, err := trust.ParseToken(document)
			if err != nil {
				if !reflect.DeepEqual(token, trust.Token{}) {
					t.Errorf("an error with a token: %+v", token)
				}
				continue
			}
			if token.Issuer == "" || token.Subject == "" || len(token.Audience) == 0 || token.Expires.IsZero() {
				t.Errorf("accepted without a claim: %+v", token)
			}
			if !strings.HasSuffix(token.Issuer, strings.TrimPrefix(token.ProviderARN("", "1"), "arn:aws:iam::1:oidc-provider/")) {
				t.Errorf("issuer %q has the provider %q", token.Issuer, token.ProviderARN("", "1"))
			}
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	for _, document := range goodPolicies {
		f.Add([]byte(document), "sts:AssumeRole", "arn:aws:s3:::pics/a.jpg", "reader*")
	}
	for _, bad := range badPolicies {
		f.Add([]byte(bad.document), "s3:GetObject", "", "${aws:username}")
	}
	f.Fuzz(func(t *testing.T, document []byte, action, resource, value string) {
		policy, err := trust.ParsePolicy(document)
		if err != nil {
			return
		}
		written := policy.String()
		again, err := trust.ParsePolicy([]byte(written))
		if err != nil {
			t.Fatalf("%v\nin what String wrote of a good policy:\n%s", err, written)
		}
		if !bytes.Equal([]byte(again.String()), []byte(written)) || !reflect.DeepEqual(again, policy) {
			t.Fatalf("not stable:\n%s\nbecame\n%s", written, again)
		}
		request := trust.Request{
			Action: action, Resource: resource,
			Principal: trust.Principals{"AWS": {value}, "Federated": {value}},
			Context:   map[string][]string{},
		}
		for _, s := range policy.Statements {
			for _, keys := range s.Condition {
				for key := range keys {
					request.Context[key] = []string{value, resource}
				}
			}
		}
		first := policy.Explain(request)
		if second := again.Explain(request); !reflect.DeepEqual(first, second) {
			t.Fatalf("two decisions:\n%+v\n%+v", first, second)
		}
		if first.Allowed && first.Denied || len(first.Reasons) != len(policy.Statements) {
			t.Fatalf("decision %+v", first)
		}
		for _, r := range first.Reasons {
			if r.Matched != (r.Element == "") || r.Text == "" {
				t.Errorf("reason %+v", r)
			}
		}
	})
}

// FuzzWriters compares what the written policies admit with the arguments.
func FuzzWriters(f *testing.F) {
	f.Add("pics", "in/", "pics/in/x")
	f.Add("p*", "", "pics/x")
	f.Add("pics", "${aws:username}", "pics/eve")
	f.Add("a", "$", "a/{b}")
	f.Add("a", "\xc1", "a/\x94")
	f.Add("a", "\xc1", "a/\ufffd")
	f.Add("\xc1", "\xc1", "\ufffd")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		variables := map[string][]string{"aws:username": {c}, "s3:prefix": {c}}
		read := trust.ReadBucketPolicy(a, b)
		if read.Explain(trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + c, Context: variables}).Allowed &&
			!strings.HasPrefix(c, strings.TrimPrefix(a, "arn:aws:s3:::")+"/"+b) {
			t.Errorf("reading %q below %q admits %q:\n%s", a, b, c, read)
		}
		if strings.ContainsAny(b, "*?") {
			return // a pattern of subjects
		}
		web := trust.WebIdentityPolicy("444455556666", []string{blue}, []string{b}, func(o *trust.PolicyOptions) { o.Audience = a })
		request := token(func(r *trust.Request) {
			r.Context[bluePath+":sub"], r.Context[bluePath+":aud"] = []string{c}, []string{c}
			r.Context["aws:username"] = []string{c}
		})
		if web.Explain(request).Allowed && (c != b || c != a && a != "") {
			t.Errorf("subject %q for %q admits %q:\n%s", b, a, c, web)
		}
	})
}
