package e2e_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestCephWithSDKAlone uses both routes without crossrole. If it passes, a failure of
// the tests after it is due to crossrole and not to the server.
func TestCephWithSDKAlone(t *testing.T) {
	s := cephScene(t)
	for name, chain := range map[string][]string{
		"direct": {directRole},
		"hub":    {hubRole, targetRole},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := aws.Config{Region: s.shared.Config.Region, BaseEndpoint: aws.String(s.cluster.URL)}
			token := stscreds.IdentityTokenFile(tokenFile(t, s.issuer, pod))
			cfg.Credentials = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(cfg), chain[0], token))
			for _, role := range chain[1:] {
				cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role))
			}
			out, err := s3.NewFromConfig(cfg).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(object)})
			if err != nil {
				t.Fatal(err)
			}
			defer out.Body.Close()
			got, err := io.ReadAll(out.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, picture()) {
				t.Errorf("read %d bytes that are not the picture", len(got))
			}
		})
	}
}
