package e2e_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/crossrole/crossrole/e2e/issuer"
)

// TestCephWithSDKAlone walks both routes with nothing of crossrole, so that a
// failure of the tests after it is known to be crossrole's, not the server's.
func TestCephWithSDKAlone(t *testing.T) {
	s := cephScene(t)
	for name, chain := range map[string][]string{
		"direct": {directRole},
		"hub":    {hubRole, targetRole},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := aws.Config{Region: s.shared.Config.Region, BaseEndpoint: aws.String(s.cluster.URL)}
			token := stscreds.IdentityTokenFile(s.tokenFile(t, pod))
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

// tokenFile writes a token of the cluster as a pod would find it.
func (s *scene) tokenFile(t *testing.T, claims issuer.Claims) string {
	t.Helper()
	token, err := s.issuer.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
