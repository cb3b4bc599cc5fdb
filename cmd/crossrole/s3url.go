package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/crossrole/crossrole/s3reader"
)

// s3URL is a parsed s3:// URL: a bucket, by its name or an access point's alias or ARN,
// and a key or a prefix of keys.
type s3URL struct{ bucket, key string }

// parseS3URL parses an s3:// URL. It does not decode the key.
//
//	s3://pics/cats/indoor.jpg
//	s3://arn:aws:s3:::pics/cats/indoor.jpg
//	s3://arn:aws:s3:eu-west-1:444455556666:accesspoint/pics/cats/indoor.jpg
func parseS3URL(s string) (s3URL, error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if !ok {
		return s3URL{}, usagef("%q; want s3://BUCKET/KEY", s)
	}
	slashes := 1
	if strings.HasPrefix(rest, "arn:") && strings.Contains(rest, ":accesspoint/") {
		slashes = 2
	}
	var u s3URL
	parts := strings.SplitN(rest, "/", slashes+1)
	u.bucket = strings.Join(parts[:min(len(parts), slashes)], "/")
	if len(parts) > slashes {
		u.key = parts[slashes]
	}
	u.bucket, _ = bucketOfARN(u.bucket)
	if u.bucket == "" {
		return s3URL{}, usagef("%q has no bucket; want s3://BUCKET/KEY", s)
	}
	return u, nil
}

// validBucket refuses what is neither a bucket's name nor the ARN of an access point.
// what names the input in the error.
func validBucket(what, bucket string) error {
	cfg := aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}
	if strings.HasPrefix(bucket, "arn:") {
		cfg.Region = "" // the ARN has one
	}
	_, err := s3reader.New(cfg, bucket)
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		return usagef("%s: %w", what, e.Err)
	}
	return err
}

// bucketOfARN returns the name and the partition in a bucket's ARN. It returns any other
// string unchanged.
func bucketOfARN(s string) (name, partition string) {
	rest, ok := strings.CutPrefix(s, "arn:")
	partition, name, found := strings.Cut(rest, ":s3:::")
	if !ok || !found || !partitionPattern().MatchString(partition) {
		return s, ""
	}
	return name, partition
}

func (u s3URL) String() string { return quote(fmt.Sprintf("s3://%s/%s", u.bucket, u.key)) }

// bucketFlags are the flags of a command that reads a bucket.
type bucketFlags struct {
	pod   podFlags
	style pathStyle
	payer bool
	json  bool
}

// pathStyle says whether the bucket's name is in the path of URLs.
type pathStyle struct{ flag bool }

const pathStyleVariable = "CROSSROLE_PATH_STYLE"

func (p *pathStyle) add(c *cobra.Command) {
	c.Flags().BoolVar(&p.flag, "path-style", false, "put the bucket's name into the path of URLs, for an S3 endpoint without a host name per bucket; "+pathStyleVariable+"=true does the same")
}

// option returns the reader's option. The flag takes precedence over the variable.
func (p *pathStyle) option(c *cobra.Command) (func(*s3reader.Options), error) {
	on := p.flag
	if text := os.Getenv(pathStyleVariable); text != "" && !c.Flags().Changed("path-style") {
		var err error
		if on, err = strconv.ParseBool(text); err != nil {
			return nil, usagef("%s=%q; want true or false", pathStyleVariable, text)
		}
	}
	return func(o *s3reader.Options) { o.PathStyle = on }, nil
}

func (b *bucketFlags) add(c *cobra.Command) {
	b.pod.add(c)
	b.style.add(c)
	c.Flags().BoolVar(&b.payer, "request-payer", false, "agree to pay for requests and transfer, as requester-pays buckets require")
	c.Flags().BoolVar(&b.json, "json", false, "print one JSON object per line")
}

// open returns a reader of the bucket that uses the last role of the chain.
func (b *bucketFlags) open(c *cobra.Command, bucket string, optFns ...func(*s3reader.Options)) (*s3reader.Reader, error) {
	if err := validBucket(s3URL{bucket: bucket}.String(), bucket); err != nil {
		return nil, err
	}
	style, err := b.style.option(c)
	if err != nil {
		return nil, err
	}
	chain, err := b.pod.chain(c.Context())
	if err != nil {
		return nil, err
	}
	return s3reader.New(chain.Config(), bucket, append(optFns, style, func(o *s3reader.Options) { o.RequestPayer = b.payer })...)
}

// interrupted returns err or, if the command was interrupted, the exit status of a
// program that a signal ended.
func interrupted(ctx context.Context, c *cobra.Command, err error, advice string) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "crossrole: interrupted%s\n", advice)
	return exitError(130) // 128 and the number of SIGINT
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
