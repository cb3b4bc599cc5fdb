package main

import (
	"strings"
	"testing"
)

func TestScenario(t *testing.T) {
	var out strings.Builder
	if err := scenario(t.Context(), &out, t.TempDir()); err != nil {
		t.Fatalf("%v, after\n%s", err, &out)
	}
	text := out.String()
	for _, want := range []string{
		"system:serviceaccount:default:s3-shared-content",
		"web identity → arn:aws:iam::444455556666:role/S3_Pics\n",
		"web identity → arn:aws:iam::111122223333:role/hub → arn:aws:iam::444455556666:role/S3_Pics\n",
		"caller   arn:aws:sts::444455556666:assumed-role/S3_Pics/default.s3-shared-content@",
		"OIDCProviderMissing",
		"register the issuer in account 444455556666: aws iam create-open-id-connect-provider --url " + greenIssuer,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if n := strings.Count(text, "5556 bytes, SHA-256 "); n != 3 {
		t.Errorf("the picture was read %d times, want 3: direct, hub, hub from green", n)
	}
	if last := "ok: indoor-cat.jpg 5556 bytes, direct and hub\n"; !strings.HasSuffix(text, "\n"+last) {
		t.Errorf("the last line is not %q:\n%s", last, text)
	}
	if t.Failed() {
		t.Log(text)
	}
}
