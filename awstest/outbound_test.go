package awstest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/crossrole/crossrole/awstest"
)

// chinese is a cloud of partition aws-cn with one account.
func chinese() (*awstest.Cloud, *awstest.Account) {
	cloud := awstest.New()
	cloud.SetPartition("aws-cn")
	return cloud, cloud.Account(sharedID)
}

// TestOutboundFederation takes a role of partition aws to one of aws-cn, by both
// algorithms, and refuses what AWS refuses.
func TestOutboundFederation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(), t.Context()
		w.hub.SetPolicy(allowAll)
		session := w.hubSession(t)
		ask := func(audience ...string) *sts.GetWebIdentityTokenInput {
			return &sts.GetWebIdentityTokenInput{Audience: audience, SigningAlgorithm: new("RS256")}
		}
		_, err := w.as(session).GetWebIdentityToken(ctx, ask("sts.amazonaws.com"))
		iamRefuses(t, err, 403, "OutboundWebIdentityFederationDisabledException", "not enabled")

		enabled := ok(iamOf(w.Cloud, w.dev.AdminKey()).EnableOutboundWebIdentityFederation(ctx, nil))(t)
		issuer := w.dev.OutboundIssuer()
		if issuer.Issuer() != *enabled.IssuerIdentifier {
			t.Errorf("issuer %s, IAM said %s", issuer.Issuer(), *enabled.IssuerIdentifier)
		}
		cn, account := chinese()
		account.AddOIDCProvider(issuer)
		host := strings.TrimPrefix(issuer.Issuer(), "https://")
		role := account.CreateRole("from-aws", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
			"Principal":{"Federated":"arn:aws-cn:iam::444455556666:oidc-provider/`+host+`"},
			"Condition":{"StringEquals":{"`+host+`:sub":"`+hubARN+`","`+host+`:aud":"sts.amazonaws.com"}}}]}`, "")
		exchange := func(cloud *awstest.Cloud, role, token string) error {
			_, err := sts.NewFromConfig(cloud.Config()).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: new("pod"), WebIdentityToken: &token})
			return err
		}
		var last string
		for _, algorithm := range []string{"RS256", "ES384"} {
			out := ok(w.as(session).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{Audience: []string{"sts.amazonaws.com"}, SigningAlgorithm: &algorithm}))(t)
			if life := time.Until(*out.Expiration); life != 5*time.Minute {
				t.Errorf("a token for %v, want 5 minutes", life)
			}
			last = *out.WebIdentityToken
			if err := exchange(cn, role.ARN(), last); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
			head, rest, _ := strings.Cut(last, ".")
			iamRefuses(t, exchange(cn, role.ARN(), head+"."+rest[:len(rest)-8]+"AAAAAAAA"), 400, "InvalidIdentityToken", "signature")
		}

		// Within one partition tokens are not exchanged.
		w.shared.AddOIDCProvider(issuer)
		w.shared.CreateRole("same-partition", strings.ReplaceAll(podTrust(sharedID, issuer.Issuer(), "x", "y"), awstest.Subject("x", "y"), hubARN), "")
		iamRefuses(t, exchange(w.Cloud, "arn:aws:iam::444455556666:role/same-partition", last), 400, "InvalidIdentityToken", "")
		two := ok(w.as(session).GetWebIdentityToken(ctx, ask("sts.amazonaws.com", "https://api.example.com")))(t)
		iamRefuses(t, exchange(cn, role.ARN(), *two.WebIdentityToken), 400, "InvalidIdentityToken", "")
		other := ok(w.as(session).GetWebIdentityToken(ctx, ask("https://api.example.com")))(t)
		iamRefuses(t, exchange(cn, role.ARN(), *other.WebIdentityToken), 400, "InvalidIdentityToken", "Incorrect token audience")
		user := ok(w.as(w.dev.AdminKey()).GetWebIdentityToken(ctx, ask("sts.amazonaws.com")))(t)
		iamRefuses(t, exchange(cn, role.ARN(), *user.WebIdentityToken), 403, "AccessDenied", "")

		// A token does not outlive the session that asked for it.
		time.Sleep(50 * time.Minute)
		iamRefuses(t, exchange(cn, role.ARN(), last), 400, "ExpiredTokenException", "")
		_, err = w.as(session).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{Audience: []string{"a"}, SigningAlgorithm: new("RS256"), DurationSeconds: new(int32(3600))})
		iamRefuses(t, err, 403, "SessionDurationEscalationException", "")

		ok(iamOf(w.Cloud, w.dev.AdminKey()).DisableOutboundWebIdentityFederation(ctx, nil))(t)
		_, err = w.as(session).GetWebIdentityToken(ctx, ask("a"))
		iamRefuses(t, err, 403, "OutboundWebIdentityFederationDisabledException", "")
	})
}

// TestOutboundClaims reads a token as an external service does, by the issuer's
// JWKS.
func TestOutboundClaims(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	w.hub.SetPolicy(allowAll)
	issuer := w.dev.OutboundIssuer()
	ok(iamOf(w.Cloud, w.dev.AdminKey()).TagRole(ctx, &iam.TagRoleInput{RoleName: new("hub"), Tags: []iamtypes.Tag{{Key: new("team"), Value: new("a")}}}))(t)
	out := ok(w.as(w.hubSession(t)).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
		Audience: []string{"https://api.example.com"}, SigningAlgorithm: new("ES384"), DurationSeconds: new(int32(60)),
		Tags: []ststypes.Tag{{Key: new("job"), Value: new("7")}},
	}))(t)
	parts := strings.Split(*out.WebIdentityToken, ".")
	var header struct{ Alg, Kid string }
	var claims struct {
		Iss, Aud, Sub string
		AWS           struct {
			Account       string            `json:"aws_account"`
			Region        string            `json:"source_region"`
			PrincipalTags map[string]string `json:"principal_tags"`
			RequestTags   map[string]string `json:"request_tags"`
		} `json:"https://sts.amazonaws.com/"`
	}
	if err := json.Unmarshal(decodeSegment(t, parts[0]), &header); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(decodeSegment(t, parts[1]), &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != issuer.Issuer() || claims.Aud != "https://api.example.com" || claims.Sub != hubARN || claims.AWS.Account != devID ||
		claims.AWS.Region != "us-east-1" || claims.AWS.PrincipalTags["team"] != "a" || claims.AWS.RequestTags["job"] != "7" {
		t.Errorf("claims %+v", claims)
	}
	var set struct {
		Keys []struct{ Kty, Kid, Alg, Crv, X, Y string }
	}
	if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	verified := false
	for _, k := range set.Keys {
		if k.Kid != header.Kid || k.Alg != "ES384" || header.Alg != "ES384" || k.Kty != "EC" || k.Crv != "P-384" {
			continue
		}
		public := ok(ecdsa.ParseUncompressedPublicKey(elliptic.P384(), slices.Concat([]byte{4}, decodeSegment(t, k.X), decodeSegment(t, k.Y))))(t)
		digest := sha512.Sum384([]byte(parts[0] + "." + parts[1]))
		signature := decodeSegment(t, parts[2])
		number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
		verified = ecdsa.Verify(public, digest[:], number(signature[:48]), number(signature[48:]))
	}
	if !verified {
		t.Errorf("no key of %s verifies the token", issuer.JWKS())
	}
}

// TestOutboundConditions are the conditions by which a policy limits tokens.
func TestOutboundConditions(t *testing.T) {
	w, ctx := newWorld(), t.Context()
	w.dev.OutboundIssuer()
	user := w.as(w.dev.UserCredentials("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{
		"ForAllValues:StringEquals":{"sts:IdentityTokenAudience":"https://api.example.com"},
		"NumericLessThanEquals":{"sts:DurationSeconds":"300"},"StringEquals":{"sts:SigningAlgorithm":"ES384"}}}]}`))
	input := func(edit func(*sts.GetWebIdentityTokenInput)) *sts.GetWebIdentityTokenInput {
		in := &sts.GetWebIdentityTokenInput{Audience: []string{"https://api.example.com"}, SigningAlgorithm: new("ES384")}
		edit(in)
		return in
	}
	ok(user.GetWebIdentityToken(ctx, input(func(*sts.GetWebIdentityTokenInput) {})))(t)
	for name, edit := range map[string]func(*sts.GetWebIdentityTokenInput){
		"audience":       func(in *sts.GetWebIdentityTokenInput) { in.Audience = []string{"https://other.example.com"} },
		"second of them": func(in *sts.GetWebIdentityTokenInput) { in.Audience = append(in.Audience, "https://other.example.com") },
		"duration":       func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = new(int32(301)) },
		"algorithm":      func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = new("RS256") },
		"tags":           func(in *sts.GetWebIdentityTokenInput) { in.Tags = []ststypes.Tag{{Key: new("k"), Value: new("v")}} },
	} {
		_, err := user.GetWebIdentityToken(ctx, input(edit))
		t.Log(name)
		iamRefuses(t, err, 403, "AccessDenied", "WebIdentityToken")
	}
	for _, edit := range []func(*sts.GetWebIdentityTokenInput){
		func(in *sts.GetWebIdentityTokenInput) { in.SigningAlgorithm = new("HS256") },
		func(in *sts.GetWebIdentityTokenInput) { in.DurationSeconds = new(int32(59)) },
		func(in *sts.GetWebIdentityTokenInput) { in.Audience = make([]string, 0, 1) },
		func(in *sts.GetWebIdentityTokenInput) { in.Audience = strings.Split("a b c d e f g h i j k", " ") },
		func(in *sts.GetWebIdentityTokenInput) { in.Audience = []string{strings.Repeat("x", 1001)} },
	} {
		_, err := user.GetWebIdentityToken(ctx, input(edit))
		iamRefuses(t, err, 400, "ValidationError", "")
	}
	// Not on the global endpoint.
	cfg := w.Config()
	cfg.Credentials = provider(w.dev.AdminKey())
	_, err := sts.NewFromConfig(cfg, func(o *sts.Options) { o.BaseEndpoint = new("https://sts.amazonaws.com") }).GetWebIdentityToken(ctx, input(func(*sts.GetWebIdentityTokenInput) {}))
	iamRefuses(t, err, 400, "InvalidAction", "")
}

// TestOutboundForeignProvider: only an issuer of another partition comes from
// another cloud.
func TestOutboundForeignProvider(t *testing.T) {
	w := newWorld()
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "another cloud") {
			t.Errorf("panicked with %q", text)
		}
	}()
	awstest.New().Account(sharedID).AddOIDCProvider(w.dev.OutboundIssuer())
}
