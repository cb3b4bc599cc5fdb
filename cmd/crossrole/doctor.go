package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/internal/denial"
	"github.com/crossrole/crossrole/s3reader"
	"github.com/crossrole/crossrole/trust"
)

// finding is one result of doctor in addition to the chain's report.
type finding struct {
	Name  string   `json:"name"` // of the bucket or the policy file
	OK    bool     `json:"ok"`
	Text  string   `json:"text"`
	Notes []string `json:"notes,omitempty"`

	denied string        // by which policy, and who can fix it; empty: S3 names none
	kind   s3reader.Kind // of the failure to read the bucket
}

// failed returns f with the error of a request to S3.
func (f *finding) failed(err error) *finding {
	f.Text, f.denied = err.Error(), deniedBy(err)
	if e, ok := errors.AsType[*s3reader.Error](err); ok {
		f.kind = e.Kind
	}
	return f
}

// findings are all results of doctor.
type findings struct {
	Settings string              `json:"settings_error,omitempty"`
	Chain    *credentials.Report `json:"chain,omitempty"`
	Trust    *finding            `json:"trust_policy,omitempty"`
	Bucket   *finding            `json:"bucket,omitempty"`
}

func (f *findings) healthy() bool {
	return f.Settings == "" && f.Chain != nil && f.Chain.Healthy() && (f.Trust == nil || f.Trust.OK) && (f.Bucket == nil || f.Bucket.OK)
}

func newDoctor() *cobra.Command {
	var pod podFlags
	var style pathStyle
	var bucket, key, policy, command string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [--role ARN]... [--bucket BUCKET [--key KEY]] [--trust-policy FILE]",
		Short: "Check every hop from this pod, and show what to fix",
		Long: `doctor checks the pod's token file and its claims, tries each hop once, and shows
the caller identity at each hop or, if the hop fails, what to fix. With --bucket it
then reads the object that --key names or, without --key, lists the bucket. A role
that may read but not list is fine: doctor only notes it.

Each hop is also tried in every --fallback-region, which shows whether the accounts
have the region enabled. That STS of the pod's own region does not respond is then
only a note.

On a node that has just started, the agent, the DNS or STS may be a few seconds late.
If a hop fails for such a reason, doctor waits until it has run for 10 seconds, and
checks once more. A denial or a wrong setting ends it immediately. A region whose STS
hangs takes 10 seconds at each hop. After a minute doctor stops in any case. It says
on standard error what it waits for.

With --trust-policy it shows which statement and condition of that policy allows or
denies the token. AWS never shows that. To get the file, run
aws iam get-role --role-name NAME --query Role.AssumeRolePolicyDocument.

With --token-command it runs a program that prints the token, instead of reading the
pod's file; AWS_ROLE_ARN is the role to exchange it for. The program runs without a
shell: white space separates its arguments, except in single or double quotes, and
no other character is special.

Exit status: 0 healthy, 1 a problem was found, 2 wrong usage.`,
		Example: `  crossrole doctor
  crossrole doctor --role arn:aws:iam::444455556666:role/S3_Pics --bucket pics --key indoor-cat.jpg
  crossrole doctor --token-command 'kubectl create token reader --audience sts.amazonaws.com'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if key != "" && bucket == "" {
				return usagef("--key %q without --bucket", key)
			}
			reading, err := style.option(c)
			if err != nil {
				return err
			}
			if c.Flags().Changed("token-command") {
				if pod.token, err = splitCommand(command); err != nil {
					return usagef("--token-command: %w", err)
				}
			}
			bucket, _ := bucketOfARN(bucket)
			if bucket != "" {
				if err := validBucket("--bucket", bucket); err != nil {
					return err
				}
			}
			var f findings
			chain, err := pod.chain(c.Context())
			switch {
			case errors.Is(err, credentials.ConfigInvalid):
				f.Settings = err.Error()
			case err != nil:
				return err
			default:
				f.Chain = checkPatiently(c.Context(), chain, c.ErrOrStderr())
				if policy != "" {
					if f.Trust, err = explainTrust(c.Context(), policy, f.Chain); err != nil {
						return err
					}
				}
				if bucket != "" && f.Chain.Healthy() {
					f.Bucket = checkBucket(c.Context(), chain, bucket, key, reading)
				}
			}
			if err := f.write(c.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if !f.healthy() {
				return errFound
			}
			return nil
		},
	}
	pod.add(c)
	style.add(c)
	c.Flags().StringVar(&bucket, "bucket", "", "`BUCKET` to read if the chain works")
	c.Flags().StringVar(&key, "key", "", "`KEY` of an object in the bucket")
	c.Flags().StringVar(&policy, "trust-policy", "", "`FILE` with the trust policy of the pod's own role; -: standard input")
	c.Flags().StringVar(&command, "token-command", "", "run `COMMAND`, which prints the token, instead of reading the pod's file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

const (
	// patience is how long doctor waits for what may be late on a node that has just
	// started, from its own start on. A chain's first session waits longer.
	patience = 10 * time.Second
	// silence is how long a hop may take before doctor says that it waits for it.
	silence = 2 * time.Second
	// requestLimit is how long a request of a check may take: a third of the chain's
	// Refresh.Timeout, which doctor does not set. A check makes one for each hop and region.
	requestLimit = 10 * time.Second
	// checkLimit is how long doctor checks the chain altogether.
	checkLimit = time.Minute
)

// mayBeLate reports whether doctor waits after a hop's failure. The chain decides whether
// this one may pass, and returns the others immediately.
func mayBeLate(h credentials.HopReport) bool {
	if h.Err == nil {
		return false
	}
	switch h.Err.Kind {
	case credentials.STSUnreachable, credentials.RefreshTimeout, credentials.Throttled, credentials.IssuerUnreachable:
		return true
	case credentials.TokenUnreadable:
		return h.Err.Operation == "read token file" && errors.Is(h.Err, fs.ErrNotExist)
	}
	return false
}

// checkPatiently checks the chain. If a hop fails with what may be late on a node that has
// just started, it waits until the chain has a session, at most until patience is over, and
// checks again. It ends after checkLimit. It writes to progress what it waits for and how
// long at most.
func checkPatiently(ctx context.Context, chain *credentials.Chain, progress io.Writer) *credentials.Report {
	start := time.Now()
	within, cancel := context.WithDeadline(ctx, start.Add(checkLimit))
	defer cancel()
	say := func(format string, args ...any) {
		fmt.Fprintln(progress, printable("crossrole: doctor: "+fmt.Sprintf(format, args...)))
	}
	check := func() *credentials.Report {
		stop := watch(chain, func(hop int) {
			say("hop %d has not responded yet: waiting for at most %v for each request, %v altogether", hop, requestLimit, (checkLimit - time.Since(start)).Round(time.Second))
		})
		defer stop()
		return chain.Check(within)
	}
	stopped := func() bool {
		if ctx.Err() != nil || within.Err() == nil {
			return false
		}
		say("stopped after %v", checkLimit)
		return true
	}
	report := check()
	late := slices.IndexFunc(report.Hops, mayBeLate)
	left := (patience - time.Since(start)).Round(time.Second)
	if stopped() || ctx.Err() != nil || late < 0 || left <= 0 {
		return report
	}
	failed := report.Hops[late].Err
	say("%s; waiting for up to %v", strings.TrimPrefix(failed.Error(), "credentials: "), left)
	brief, cancelBrief := context.WithDeadline(within, start.Add(patience))
	defer cancelBrief()
	_, _ = chain.Retrieve(brief) // the second check reports whether it works
	if ctx.Err() != nil {
		return report
	}
	if latest := check(); !stopped() {
		return latest
	}
	return report
}

// watch calls slow with the number of a hop at which a caller has waited for silence: a hop
// that is being checked has such a caller. stop ends this, and waits until a call of slow
// has returned.
func watch(chain *credentials.Chain, slow func(hop int)) (stop func()) {
	const interval = silence / 2
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		waited := make([]time.Duration, len(chain.Status().Hops))
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			for i, hop := range chain.Status().Hops {
				if hop.Waiting == 0 {
					waited[i] = 0
				} else if waited[i] += interval; waited[i] == silence {
					slow(i + 1)
				}
			}
		}
	})
	return func() {
		close(ended)
		watching.Wait()
	}
}

func (f *findings) write(out io.Writer, asJSON bool) error {
	if !asJSON {
		var text strings.Builder
		verdict := f.print(&text)
		colour := green
		if !f.healthy() {
			colour = red
		}
		_, err := fmt.Fprint(out, printable(text.String()), paint(out, colour, "verdict  "+printable(verdict)), "\n")
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Healthy bool `json:"healthy"`
		*findings
	}{f.healthy(), f})
}

// print writes the findings as text, and returns the verdict.
func (f *findings) print(out io.Writer) (verdict string) {
	if f.Settings != "" {
		fmt.Fprintf(out, "settings %s\n", strings.ReplaceAll(f.Settings, "\n", "\n       "))
		return "the settings are wrong"
	}
	fmt.Fprint(out, f.Chain.Details())
	for _, hop := range f.Chain.Hops {
		if hop.Err != nil {
			fmt.Fprintf(out, "%-8s %s\n", "page", pageOf(hop.Err.Kind))
			break // the next hops fail for the same reason
		}
	}
	extra := func(label string, found *finding) {
		if found == nil {
			return
		}
		fmt.Fprintf(out, "%-8s %s\n", label, strings.ReplaceAll(found.Text, "\n", "\n         "))
		for _, note := range found.Notes {
			fmt.Fprintf(out, "%-8s note: %s\n", "", note)
		}
	}
	extra("trust", f.Trust)
	extra("bucket", f.Bucket)
	if f.Bucket != nil && f.Bucket.kind != "" {
		fmt.Fprintf(out, "%-8s %s\n", "page", pageOf(f.Bucket.kind))
	}
	switch {
	case f.Bucket != nil && !f.Bucket.OK && f.Bucket.denied != "":
		return "the chain works, but the bucket cannot be read: " + f.Bucket.denied
	case f.Bucket != nil && !f.Bucket.OK:
		return "the chain works, but the bucket cannot be read"
	case f.Trust != nil && !f.Trust.OK && f.Chain.Healthy():
		return "the chain works, but the policy in the file does not allow the token"
	}
	return f.Chain.Verdict()
}

// pageOf returns the address of the section about a kind of credentials or s3reader. Its
// anchor is the heading, which is the kind's name (TestEveryKindIsDocumented).
func pageOf[Kind ~string](kind Kind) string {
	return "https://github.com/crossrole/crossrole/blob/main/docs/errors.md#" + strings.ToLower(string(kind))
}

type colour string

const (
	red   colour = "\x1b[31m"
	green colour = "\x1b[32m"
)

// paint returns text in a colour for a terminal. In a pipe, and if NO_COLOR is set
// (https://no-color.org), it returns text unchanged.
func paint(out io.Writer, c colour, text string) string {
	if !isTerminal(out) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// explainTrust explains whether the policy in the file allows the pod's token.
func explainTrust(ctx context.Context, file string, report *credentials.Report) (*finding, error) {
	document, err := readDocument(ctx, file)
	if err != nil {
		return nil, err
	}
	f := &finding{Name: file}
	policy, err := trust.ParsePolicy(document)
	if err == nil {
		err = policy.ValidateTrust()
	}
	if err != nil {
		f.Text = fmt.Sprintf("%s is not a trust policy: %v", file, err)
		return f, nil
	}
	if report.Token == nil || report.Token.Claims == nil {
		f.Text = "there is no token to compare with the policy"
		return f, nil
	}
	token, role := *report.Token.Claims, report.Hops[0].RoleARN
	a, err := arn.Parse(role)
	if err != nil {
		return nil, err
	}
	issuer := strings.TrimPrefix(token.Issuer, "https://")
	decision := policy.Explain(trust.Request{
		Action:    "sts:AssumeRoleWithWebIdentity",
		Principal: trust.Principals{"Federated": {token.ProviderARN(a.Partition, a.AccountID)}},
		Context:   map[string][]string{issuer + ":sub": {token.Subject}, issuer + ":aud": token.Audience},
	})
	f.OK = decision.Allowed
	f.Text = "the policy does not allow the token for " + role
	if f.OK {
		f.Text = "the policy allows the token for " + role
	}
	for _, r := range decision.Reasons {
		name := fmt.Sprintf("statement %d", r.Statement)
		if r.SID != "" {
			name += " " + r.SID
		}
		f.Text += "\n" + name + ": " + r.Text
	}
	return f, nil
}

// maxDocument is far more than the 6,144 characters that IAM allows in a policy.
const maxDocument = 1 << 20

// readDocument reads a file, or standard input for "-", until ctx ends.
func readDocument(ctx context.Context, file string) ([]byte, error) {
	type result struct {
		document []byte
		err      error
	}
	done := make(chan result, 1)
	go func() { // opening or reading a pipe may block forever
		in := os.Stdin
		if file != "-" {
			var err error
			if in, err = os.Open(file); err != nil {
				done <- result{nil, err}
				return
			}
			defer in.Close()
		}
		document, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
		if err == nil && len(document) > maxDocument {
			err = fmt.Errorf("%s is longer than any policy; pass the output of aws iam get-role --query Role.AssumeRolePolicyDocument", quote(file))
		}
		done <- result{document, err}
	}()
	select {
	case r := <-done:
		return r.document, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkBucket reads one object or, without a key, the first page of a listing.
func checkBucket(ctx context.Context, chain *credentials.Chain, bucket, key string, optFns ...func(*s3reader.Options)) *finding {
	f := &finding{Name: bucket}
	reader, err := s3reader.New(chain.Config(), bucket, optFns...)
	if err != nil {
		f.Text = err.Error()
		return f
	}
	if key != "" {
		var n int64
		object, err := reader.Open(ctx, key)
		if err == nil {
			n, err = io.Copy(io.Discard, object)
			err = errors.Join(err, object.Close())
		}
		if err != nil {
			return f.failed(err)
		}
		f.OK, f.Text = true, fmt.Sprintf("read s3://%s/%s, %d bytes", bucket, key, n)
		return f
	}
	// A listing, not HeadBucket: the reader follows the bucket to its region.
	for _, err = range reader.List(ctx, "") {
		break
	}
	switch {
	case err == nil:
		f.OK, f.Text = true, "s3://"+bucket+" can be listed"
	case errors.Is(err, s3reader.AccessDenied):
		f.OK, f.Text = true, "s3://"+bucket+" cannot be listed"
		f.Notes = []string{"that is normal for a role without s3:ListBucket; add --key with an object's key to check whether it can be read"}
		if by := deniedBy(err); by != "" {
			f.Notes = []string{by + "; add --key with an object's key to check whether it can be read"}
		}
	default:
		f.failed(err)
		if f.kind == s3reader.NoSuchBucket {
			f.Text = "there is no bucket " + bucket
		}
	}
	return f
}

// deniedBy returns which policy denied a request to S3 and who can fix that; empty: S3's
// message names no policy, or the request was for s3:ListBucket and the role has no such
// permission, which is normal.
func deniedBy(err error) string {
	e, ok := errors.AsType[*s3reader.Error](err)
	if !ok || e.Kind != s3reader.AccessDenied {
		return ""
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	d, named := denial.Read(api.ErrorMessage())
	if !named || d.OfCaller() && d.Action == "s3:ListBucket" {
		return ""
	}
	return d.Verdict()
}
