package s3reader_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/crossrole/crossrole/internal/bareenv"
	"github.com/crossrole/crossrole/s3reader"
)

// TestMain makes the test's program a program that downloads, if the environment
// says so, for tests that kill it or take something away from it.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_ENDPOINT") == "" {
		debug.SetGCPercent(400) // the tests hold little memory, so that a third of their time went into collecting it
		bareenv.Main(m)
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child() error {
	if err := restrict(os.Getenv("CHILD_WITHOUT")); err != nil {
		return err
	}
	endpoint := os.Getenv("CHILD_ENDPOINT")
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("CHILD_KEY_ID"), os.Getenv("CHILD_KEY"), ""),
	}
	r, err := s3reader.New(cfg, "pics", parts)
	if err != nil {
		return err
	}
	if dir := os.Getenv("CHILD_DIR"); dir != "" {
		_, err = r.DownloadDir(context.Background(), "", dir)
		return err
	}
	_, err = r.DownloadFile(context.Background(), "k", os.Getenv("CHILD_FILE"))
	return err
}
