package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
)

func newProcess() *cobra.Command {
	var pod podFlags
	var atLeast time.Duration
	c := &cobra.Command{
		Use:   "process [--role ARN]...",
		Short: "Print credentials for credential_process of the AWS CLI and the SDKs",
		Long: `process prints credentials of the chain's last role as JSON, in the form that
credential_process requires
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).
In ~/.aws/config of the pod's image:

  [profile pics]
  credential_process = crossrole process --role arn:aws:iam::444455556666:role/S3_Pics

The caller uses them until Expiration and then runs the command again.`,
		Example: "  crossrole process --role arn:aws:iam::444455556666:role/S3_Pics",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if atLeast < 0 {
				return usagef("--at-least %v is negative; want a duration such as 30m", atLeast)
			}
			chain, err := pod.chain(c.Context())
			if err != nil {
				return err
			}
			creds, err := chain.RetrieveFor(c.Context(), atLeast)
			if err != nil {
				return err
			}
			out := struct {
				Version         int
				AccessKeyID     string `json:"AccessKeyId"`
				SecretAccessKey string
				SessionToken    string     `json:",omitempty"`
				Expiration      *time.Time `json:",omitempty"`
			}{1, creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken, nil}
			if creds.CanExpire {
				expires := creds.Expires.UTC().Truncate(time.Second)
				out.Expiration = &expires
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(out)
		},
	}
	pod.add(c)
	c.Flags().DurationVar(&atLeast, "at-least", 0, "`DURATION` for which they must be valid at least, such as 30m")
	return c
}
