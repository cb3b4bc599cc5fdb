package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crossrole/crossrole/credentials"
)

// finding is what doctor found beside the chain's own report.
type finding struct {
	Name  string   `json:"name"` // of the bucket or the policy's file
	OK    bool     `json:"ok"`
	Text  string   `json:"text"`
	Notes []string `json:"notes,omitempty"`
}

// findings are a whole run of doctor.
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
	var bucket, key, policy string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [--role ARN]... [--bucket BUCKET [--key KEY]] [--trust-policy FILE]",
		Short: "Check every hop from this pod, and say what to fix",
		Long: `doctor looks at the pod's token file and claims, tries each hop once, and says
who we are there and, where a hop fails, what to fix. With a bucket it then
reads: the object named by --key, or, without one, the bucket's head. That a
role may not list is worth a note and no problem.

With --trust-policy it says which statement and condition of that policy admits
or refuses the token: AWS itself never tells. The file is what
aws iam get-role --query Role.AssumeRolePolicyDocument prints.

Exit status: 0 healthy, 1 a problem was found, 2 wrong usage.`,
		Example: `  crossrole doctor
  crossrole doctor --role arn:aws:iam::444455556666:role/S3_Pics --bucket pics --key indoor-cat.jpg`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if key != "" && bucket == "" {
				return usagef("--key %q without --bucket", key)
			}
			reading, err := style.option(c)
			if err != nil {
				return err
			}
			bucket, _ := bucketOfARN(bucket)
			var f findings
			chain, err := pod.chain(c.Context())
			switch {
			case errors.Is(err, credentials.ConfigInvalid):
				f.Settings = err.Error()
			case err != nil:
				return err
			default:
				f.Chain = chain.Check(c.Context())
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
	c.Flags().StringVar(&bucket, "bucket", "", "`BUCKET` to read when the chain works")
	c.Flags().StringVar(&key, "key", "", "`KEY` of an object in it")
	c.Flags().StringVar(&policy, "trust-policy", "", "`FILE` with the trust policy of the pod's own role; - for standard input")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
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

// print writes the findings for people, and returns the verdict.
func (f *findings) print(out io.Writer) (verdict string) {
	if f.Settings != "" {
		fmt.Fprintf(out, "settings %s\n", strings.ReplaceAll(f.Settings, "\n", "\n       "))
		return "the settings are wrong"
	}
	text, verdict, _ := strings.Cut(f.Chain.String(), "\nverdict")
	fmt.Fprintln(out, text)
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
	switch {
	case f.Bucket != nil && !f.Bucket.OK:
		return "the chain works, reading the bucket does not"
	case f.Trust != nil && !f.Trust.OK && f.Chain.Healthy():
		return "the chain works, but the policy in the file would refuse the token"
	}
	return strings.TrimSpace(verdict)
}

type colour string

const (
	red   colour = "\x1b[31m"
	green colour = "\x1b[32m"
)

// paint colours text on a terminal; in a pipe, and where NO_COLOR is set
// (https://no-color.org), it stays plain.
func paint(out io.Writer, c colour, text string) string {
	if !isTerminal(out) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}
