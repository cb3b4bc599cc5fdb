package trust_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/trust"
)

const (
	blue  = "https://oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"
	green = "https://oidc.eks.eu-west-1.amazonaws.com/id/GREEN0002"
)

// compact returns a JWS with a dummy signature of three bytes.
func compact(header, payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc([]byte(payload)) + "." + enc([]byte{1, 2, 3})
}

func jwt(payload string) string { return compact(`{"alg":"RS256","kid":"k"}`, payload) }

const claims = `{"iss":"` + blue + `","sub":"system:serviceaccount:apps:reader","aud":["sts.amazonaws.com"],"exp":1800000000}`

func TestParseToken(t *testing.T) {
	full := `{"aud":["sts.amazonaws.com","other"],"exp":1800086400,"iat":1800000000,"nbf":1800000000,"iss":"` + blue + `",
		"kubernetes.io":{"namespace":"apps","node":{"name":"n1"},"pod":{"name":"reader-7f3a","uid":"u"},"serviceaccount":{"name":"reader","uid":"v"}},
		"sub":"system:serviceaccount:apps:reader"}`
	token, err := trust.ParseToken([]byte(jwt(full)))
	if err != nil {
		t.Fatal(err)
	}
	if token.Issuer != blue || token.Subject != "system:serviceaccount:apps:reader" {
		t.Errorf("issuer %q, subject %q", token.Issuer, token.Subject)
	}
	if got := strings.Join(token.Audience, " "); got != "sts.amazonaws.com other" {
		t.Errorf("audience %q", got)
	}
	if token.Namespace != "apps" || token.ServiceAccount != "reader" || token.Pod != "reader-7f3a" {
		t.Errorf("namespace %q, service account %q, pod %q", token.Namespace, token.ServiceAccount, token.Pod)
	}
	if !token.Expires.Equal(time.Unix(1800086400, 0)) || !token.IssuedAt.Equal(time.Unix(1800000000, 0)) || !token.NotBefore.Equal(token.IssuedAt) {
		t.Errorf("times %v %v %v", token.IssuedAt, token.NotBefore, token.Expires)
	}
}

func TestParseTokenReadsEveryForm(t *testing.T) {
	edit := func(old, new string) string { return jwt(strings.Replace(claims, old, new, 1)) }
	for name, test := range map[string]struct {
		token string
		want  func(trust.Token) bool
	}{
		"newline at the end":      {jwt(claims) + "\n", func(k trust.Token) bool { return k.Issuer == blue }},
		"CR, LF and blanks round": {"\r\n \t" + jwt(claims) + " \r\n", func(k trust.Token) bool { return k.Issuer == blue }},
		"aud as a string": {edit(`["sts.amazonaws.com"]`, `"sts.amazonaws.com"`), func(k trust.Token) bool {
			return len(k.Audience) == 1 && k.Audience[0] == "sts.amazonaws.com"
		}},
		"aud with a blank is kept": {edit(`["sts.amazonaws.com"]`, `"sts.amazonaws.com "`), func(k trust.Token) bool {
			return k.Audience[0] == "sts.amazonaws.com "
		}},
		"exp with a fraction":  {edit(`1800000000`, `1800000000.25`), func(k trust.Token) bool { return k.Expires.Equal(time.UnixMilli(1800000000250)) }},
		"exp with an exponent": {edit(`1800000000`, `1.8e9`), func(k trust.Token) bool { return k.Expires.Equal(time.Unix(1800000000, 0)) }},
		"no iat, no nbf":       {jwt(claims), func(k trust.Token) bool { return k.IssuedAt.IsZero() && k.NotBefore.IsZero() }},
		"names from the subject": {jwt(claims), func(k trust.Token) bool {
			return k.Namespace == "apps" && k.ServiceAccount == "reader" && k.Pod == ""
		}},
		"a subject of another kind": {edit(`system:serviceaccount:apps:reader`, `repo:org/name`), func(k trust.Token) bool {
			return k.Namespace == "" && k.ServiceAccount == ""
		}},
		"a subject with too many parts": {edit(`apps:reader`, `apps:reader:x`), func(k trust.Token) bool {
			return k.Namespace == "" && k.ServiceAccount == ""
		}},
		// AWS doesn't look at this claim, so its shape must not matter.
		"kubernetes.io of another shape": {edit(`{`, `{"kubernetes.io":"x",`), func(k trust.Token) bool { return k.Namespace == "apps" }},
		"an issuer with a slash at the end": {edit(blue, blue+"/"), func(k trust.Token) bool {
			return k.Issuer == blue+"/" && k.ProviderARN("", "1") == "arn:aws:iam::1:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001/"
		}},
		// RFC 7519 compares claim names exactly: ISS is a different claim.
		"names in capitals are other claims": {edit(`{`, `{"ISS":"x","EXP":"y",`), func(k trust.Token) bool { return k.Issuer == blue }},
		"deeply nested claim":                {edit(`{`, `{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`,`), func(k trust.Token) bool { return k.Issuer == blue }},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := trust.ParseToken([]byte(test.token))
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(token) {
				t.Errorf("got %+v", token)
			}
		})
	}
}

func TestParseTokenRefuses(t *testing.T) {
	edit := func(old, new string) string { return jwt(strings.Replace(claims, old, new, 1)) }
	whole := jwt(claims)
	header, rest, _ := strings.Cut(whole, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, test := range map[string]struct{ token, want string }{
		"nothing":                 {"", "token is empty"},
		"white space":             {" \r\n\t", "token is empty"},
		"one part":                {header, "1 of the 3 parts"},
		"half-written":            {header + "." + payload, "2 of the 3 parts"},
		"four parts":              {whole + ".x", "4 parts"},
		"signature not there yet": {header + "." + payload + ".", "signature is empty"},
		"no header":               {"." + payload + "." + signature, "header is empty"},
		"no payload":              {header + ".." + signature, "payload is empty"},
		"padding":                 {header + "=." + payload + "." + signature, "header is padded"},
		"standard base64":         {header + "." + payload + ".a+/b", "signature is standard base64"},
		"line break inside":       {header + "." + payload[:9] + "\n" + payload[9:] + "." + signature, "payload has white space in the middle"},
		"not base64":              {header + "." + payload + ".é", "signature is not base64url"},
		"one character too few":   {header + "." + payload + ".abcde", "signature is not complete base64url"},
		"stray bits at the end":   {header + "." + payload + ".AB", "signature is not complete base64url"},
		"payload cut":             {compact(`{}`, claims[:40]), "payload is not valid JSON: its end is missing"},
		"header no JSON":          {compact(`x`, claims), "header is not valid JSON"},
		"header an array":         {compact(`[]`, claims), "header is an array, not a JSON object"},
		"payload a string":        {compact(`{}`, `"x"`), "payload is a string, not a JSON object"},
		"payload twice":           {compact(`{}`, claims+claims), "payload is not valid JSON"},
		"payload not UTF-8":       {compact(`{}`, "{\"iss\":\"\xff\"}"), "payload is not UTF-8"},
		"claim twice":             {edit(`{`, `{"iss":"x",`), `has "iss" twice`},
		"no iss":                  {edit(`"iss"`, `"i"`), `lacks the claim "iss"`},
		"iss empty":               {edit(blue, ``), `claim "iss" that is empty`},
		"iss a number":            {edit(`"`+blue+`"`, `1`), `claim "iss" that is a number, not a string`},
		"no sub":                  {edit(`"sub"`, `"s"`), `lacks the claim "sub"`},
		"sub null":                {edit(`"system:serviceaccount:apps:reader"`, `null`), `lacks the claim "sub"`},
		"no aud":                  {edit(`"aud"`, `"a"`), `lacks the claim "aud"`},
		"aud empty":               {edit(`["sts.amazonaws.com"]`, `[]`), `claim "aud" that is an empty array`},
		"aud empty string":        {edit(`["sts.amazonaws.com"]`, `""`), `claim "aud" that is empty`},
		"aud with a number":       {edit(`["sts.amazonaws.com"]`, `["x",1]`), `has an element 1 that is a number`},
		"aud an object":           {edit(`["sts.amazonaws.com"]`, `{}`), `claim "aud" that is an object, neither`},
		"no exp":                  {edit(`"exp"`, `"e"`), `lacks the claim "exp"`},
		"exp a string":            {edit(`1800000000`, `"1800000000"`), `claim "exp" that is a string, not a number`},
		"exp huge":                {edit(`1800000000`, `1e999999999`), `not a time between`},
		"exp far away":            {edit(`1800000000`, `1800000000000`), `not a time between`},
		"exp negative":            {edit(`1800000000`, `-1`), `not a time between`},
		"iat a boolean":           {edit(`{`, `{"iat":true,`), `claim "iat" that is a boolean`},
		"legacy secret token":     {jwt(`{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:a:b"}`), `lacks the claim "aud" and lacks the claim "exp"`},
		"nested too deep":         {edit(`{`, `{"x":`+strings.Repeat("[", 14000)), "payload is not valid JSON"},
		"a thousand KB":           {strings.Repeat("x", 1<<20), "1048576 bytes, STS accepts at most 20000"},
		"HTML of a proxy":         {"<html><body>502 Bad Gateway</body></html>", "1 of the 3 parts"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := trust.ParseToken([]byte(test.token))
			if err == nil {
				t.Fatalf("accepted as %+v", token)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "trust: ") {
				t.Errorf("got %q, want it to contain %q", err, test.want)
			}
			for part := range strings.SplitSeq(test.token, ".") {
				if len(part) > 8 && strings.Contains(err.Error(), part[:8]) {
					t.Errorf("%q shows bytes of the token", err)
				}
			}
		})
	}
}

func TestParseTokenAtTheLimit(t *testing.T) {
	// "AAAA" decodes at any length but 4n+1, so one of two headers will do.
	for size, ok := range map[int]bool{20_000: true, 20_001: false} {
		token := compact(`{"alg":"RS256"}`, claims)
		if (size-strings.LastIndexByte(token, '.')-1)%4 == 1 {
			token = compact(`{"alg":"RS512" }`, claims)
		}
		token += strings.Repeat("A", size-len(token))
		if _, err := trust.ParseToken([]byte(" " + token + "\n")); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestProviderARN(t *testing.T) {
	for _, test := range []struct{ issuer, partition, want string }{
		{blue, "", "arn:aws:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"},
		{blue, "aws-cn", "arn:aws-cn:iam::444455556666:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/BLUE0001"},
		{"https://Host/ID/", "aws", "arn:aws:iam::444455556666:oidc-provider/Host/ID/"},
		{"http://127.0.0.1:8080", "aws", "arn:aws:iam::444455556666:oidc-provider/127.0.0.1:8080"},
		{"kubernetes/serviceaccount", "aws", "arn:aws:iam::444455556666:oidc-provider/kubernetes/serviceaccount"},
	} {
		if got := (trust.Token{Issuer: test.issuer}).ProviderARN(test.partition, "444455556666"); got != test.want {
			t.Errorf("%s in %q: %s", test.issuer, test.partition, got)
		}
	}
}
