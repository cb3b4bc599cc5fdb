package awstest

import (
	"net/http"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// assumeRoleWithWebIdentity exchanges a service account's token for a session.
func (c *Cloud) assumeRoleWithWebIdentity(req *request) *response {
	sess, percent, claims, refused := c.webIdentitySession(req)
	if refused != nil {
		return refused.response(req)
	}
	var b strings.Builder
	element(&b, "SubjectFromWebIdentityToken", claims.Subject)
	element(&b, "Audience", claims.Audience[0])
	element(&b, "Provider", sess.provider)
	sess.write(&b, req, percent)
	return stsResponse(req, b.String())
}

func (c *Cloud) webIdentitySession(req *request) (*session, int, *trust.Token, *refusal) {
	fail := func(r *refusal) (*session, int, *trust.Token, *refusal) { return nil, 0, nil, r }
	var faults []string
	for _, p := range []parameter{roleARNParameter, sessionParameter, tokenParameter, policyParameter} {
		faults = p.check(req, faults)
	}
	faults = req.checkPolicyARNs(faults)
	life, tokenSize, faults := req.lifeAndSize(faults)
	if refused := validationError(faults); refused != nil {
		return fail(refused)
	}
	arn := req.param("RoleArn")
	if refused := checkRoleARN(arn); refused != nil {
		return fail(refused)
	}
	policy, size, refused := req.sessionPolicies()
	if refused != nil {
		return fail(refused)
	}
	percent, refused := packed(size)
	if refused != nil {
		return fail(refused)
	}

	token := req.param("WebIdentityToken")
	claims, err := trust.ParseToken([]byte(token))
	// A token is taken as it stands: the white space that ParseToken forgives
	// is no part of a token.
	if err != nil || strings.TrimSpace(token) != token {
		return fail(invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"))
	}
	req.call.Subject = claims.Subject
	account, _, _ := cutIAM(arn, "role")
	cluster, clientIDs := c.provider(account, claims.Issuer)
	if cluster == nil {
		return fail(invalidToken("No OpenIDConnect provider found in your account for " + claims.Issuer))
	}
	if refused := cluster.verifyToken(token); refused != nil {
		return fail(refused)
	}
	if refused := checkClaims(&claims, clientIDs, req.trueNow); refused != nil {
		return fail(refused)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	role := c.role(arn)
	if role == nil {
		req.call.Explain = "there is no role " + arn
		return fail(notAuthorizedForWebIdentity())
	}
	if refused := role.admitToken(req, &claims, life); refused != nil {
		return fail(refused)
	}
	if life == 0 {
		life = defaultDuration
	}
	if life > role.maxSession {
		return fail(tooLongForRole())
	}
	sess := newSession(role, req, life, tokenSize)
	sess.policy, sess.provider = policy, claims.ProviderARN("aws", account)
	c.sessions[sess.accessKeyID] = sess
	return sess, percent, &claims, nil
}

// provider finds the cluster whose issuer is exactly this and is registered with
// the account, and the audiences registered.
func (c *Cloud) provider(account, issuer string) (*Cluster, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, cluster := c.accounts[account], c.clusters[issuer]
	if a == nil || cluster == nil {
		return nil, nil
	}
	clientIDs, ok := a.providers[cluster]
	if !ok {
		return nil, nil
	}
	return cluster, clientIDs
}

// admitToken asks the role's trust policy. The cloud's mutex must be held.
func (r *Role) admitToken(req *request, claims *trust.Token, life time.Duration) *refusal {
	provider := claims.ProviderARN("aws", r.account.id)
	_, issuer, _ := strings.Cut(claims.Issuer, "://")
	keys := req.globalKeys()
	keys[issuer+":sub"] = []string{claims.Subject}
	keys[issuer+":aud"] = claims.Audience
	keys["sts:RoleSessionName"] = []string{req.param("RoleSessionName")}
	keys["aws:FederatedProvider"] = []string{provider}
	keys.setDuration(life)
	d := r.trust.Explain(trust.Request{
		Action:    "sts:AssumeRoleWithWebIdentity",
		Principal: trust.Principals{"Federated": {provider}},
		Context:   keys,
	})
	if !d.Allowed || d.Denied {
		req.call.Explain = reasons("trust policy of "+r.arn, d)
		return notAuthorizedForWebIdentity()
	}
	return nil
}

func notAuthorizedForWebIdentity() *refusal {
	return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
}

func tooLongForRole() *refusal {
	return invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
}
