package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/crossrole/crossrole/credentials"
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

// A program with the environment variables that -serve prints reaches the shared
// account, as in a pod.
func TestServe(t *testing.T) {
	t.Setenv("TARGET", "") // the developer may have pasted what serve printed
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, write, t.TempDir()) }()
	for !strings.Contains(os.Getenv("TARGET"), "S3_Pics") {
		line := make([]byte, 4096)
		n, err := read.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(string(line[:n]), "export "), "=")
		if !ok {
			t.Fatalf("printed %q", line[:n])
		}
		t.Setenv(name, strings.Trim(value, "'\n"))
	}
	base, err := config.LoadDefaultConfig(t.Context(), config.WithCredentialsProvider(aws.AnonymousCredentials{}),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := credentials.New(base, credentials.Assume(os.Getenv("TARGET")))
	if err != nil {
		t.Fatal(err)
	}
	if report := chain.Check(t.Context()); !report.Healthy() {
		t.Error(report)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
