package awstest

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/crossrole/crossrole/trust"
)

// assumeRole gives a session of a role to a caller with credentials.
func assumeRole(c *Cloud, req *request) (*response, *refusal) {
	sess, percent, refused := assumedSession(c, req)
	if refused != nil {
		return nil, refused
	}
	var b strings.Builder
	sess.write(&b, req, percent)
	return stsResponse(req, b.String()), nil
}

func assumedSession(c *Cloud, req *request) (*session, int, *refusal) {
	var faults []string
	for _, p := range []parameter{roleARNParameter, sessionParameter, externalID, sourceIdentity, policyParameter} {
		faults = p.check(req, faults)
	}
	faults = checkPolicyARNs(req, faults)
	faults = checkTags(req, faults)
	life, tokenSize, faults := req.lifeAndSize(faults)
	if refused := validationError(faults); refused != nil {
		return nil, 0, refused
	}
	arn := req.param("RoleArn")
	if refused := checkRoleARN(arn); refused != nil {
		return nil, 0, refused
	}
	policy, size, refused := sessionPolicies(c, req)
	if refused != nil {
		return nil, 0, refused
	}
	tags, refused := requestedTags(req)
	if refused != nil {
		return nil, 0, refused
	}
	for _, t := range tags {
		size += len(t.key) + len(t.value)
	}
	percent, refused := packed(size)
	if refused != nil {
		return nil, 0, refused
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	account, _, _ := cutIAM(arn, "role")
	if refused := checkSTSRegion(c, req, account); refused != nil {
		return nil, 0, refused
	}
	role := c.roleInForce(arn)
	if role == nil {
		req.call.Explain = "there is no role " + arn
		return nil, 0, notAuthorized(req, "sts:AssumeRole", arn)
	}
	source := req.param("SourceIdentity")
	inherited := ""
	if s := req.caller.state; s != nil {
		inherited = s.sourceIdentity
	}
	if inherited != "" && source != "" && source != inherited {
		req.call.Explain = fmt.Sprintf("the caller's session has the source identity %q, which cannot be changed in a chain", inherited)
		return nil, 0, notAuthorized(req, "sts:SetSourceIdentity", arn)
	}
	if source == "" {
		source = inherited
	}
	if refused := role.admitCaller(req, tags, source, life); refused != nil {
		return nil, 0, refused
	}
	if life == 0 {
		life = defaultDuration
	}
	switch {
	case req.caller.role != nil && life > chainedDuration:
		return nil, 0, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case life > role.maxSession:
		return nil, 0, tooLongForRole()
	}
	sess := newSession(role, req, life, tokenSize)
	sess.policy, sess.tags, sess.sourceIdentity = policy, tags, source
	c.sessions[sess.accessKeyID] = sess
	return sess, percent, nil
}

// admitCaller asks both sides: the role's trust policy and the caller's own
// policies, for each action that the request needs. Tags and a source identity
// that ride along from the caller's session need their action as if they were
// given anew. The cloud's mutex must be held.
func (r *Role) admitCaller(req *request, tags sessionTags, source string, life time.Duration) *refusal {
	keys := conditionKeys{"sts:RoleSessionName": {req.param("RoleSessionName")}}
	keys.setDuration(life)
	keys.setResourceTags(r.tags)
	if id := req.param("ExternalId"); id != "" {
		keys["sts:ExternalId"] = []string{id}
	}
	actions := []string{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
		keys.setTags(req, tags)
	}
	if source != "" {
		actions = append(actions, "sts:SetSourceIdentity")
		keys["sts:SourceIdentity"] = []string{source}
	}
	admits := r.admits.inForce(r.account.cloud)
	for _, action := range actions {
		a := access{
			p: req.caller, owner: r.account, action: action, resource: r.arn, keys: keys,
			policy: admits.document.policy, pins: admits.pins, isTrust: true,
		}
		allowed, why := a.decide()
		if !allowed {
			req.call.Explain = why
			refused := notAuthorized(req, action, r.arn)
			if a.acquainted() {
				refused.message = a.message(r.arn)
			}
			return refused
		}
		req.call.allow(why)
	}
	return nil
}

func notAuthorized(req *request, action, roleARN string) *refusal {
	return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", req.caller.arn, action, roleARN)}
}

// write adds the elements that the responses of both AssumeRole actions have.
func (s *session) write(b *strings.Builder, req *request, percent int) {
	arn := s.arn()
	if f := req.fault; f != nil && f.WrongRole != "" {
		arn = sessionARN(f.WrongRole, s.name)
	}
	b.WriteString("<AssumedRoleUser>")
	element(b, "Arn", arn)
	element(b, "AssumedRoleId", s.userID())
	b.WriteString("</AssumedRoleUser>")
	s.writeCredentials(b, req)
	if percent > 0 {
		element(b, "PackedPolicySize", fmt.Sprint(percent))
	}
	element(b, "SessionTokenSize", fmt.Sprint(len(s.token)))
	element(b, "SessionTokenUtilization", fmt.Sprint(len(s.token)*100/maxSessionToken))
	if s.sourceIdentity != "" {
		element(b, "SourceIdentity", s.sourceIdentity)
	}
}

// assumeRoleWithWebIdentity exchanges a service account's token for a session.
func assumeRoleWithWebIdentity(c *Cloud, req *request) (*response, *refusal) {
	sess, percent, claims, refused := webIdentitySession(c, req)
	if refused != nil {
		return nil, refused
	}
	var b strings.Builder
	element(&b, "SubjectFromWebIdentityToken", claims.Subject)
	element(&b, "Audience", claims.Audience[0])
	element(&b, "Provider", sess.provider)
	sess.write(&b, req, percent)
	return stsResponse(req, b.String()), nil
}

func webIdentitySession(c *Cloud, req *request) (*session, int, *trust.Token, *refusal) {
	fail := func(r *refusal) (*session, int, *trust.Token, *refusal) { return nil, 0, nil, r }
	var faults []string
	for _, p := range []parameter{roleARNParameter, sessionParameter, tokenParameter, policyParameter} {
		faults = p.check(req, faults)
	}
	faults = checkPolicyARNs(req, faults)
	life, tokenSize, faults := req.lifeAndSize(faults)
	if refused := validationError(faults); refused != nil {
		return fail(refused)
	}
	arn := req.param("RoleArn")
	if refused := checkRoleARN(arn); refused != nil {
		return fail(refused)
	}
	policy, size, refused := sessionPolicies(c, req)
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
		refused := invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
		return fail(refused.because("the token is no JWT, or has white space around it; send the content of the token file as it is"))
	}
	req.call.Subject = claims.Subject
	account, _, _ := cutIAM(arn, "role")
	cluster, clientIDs, refused := registered(c, account, claims.Issuer)
	if refused != nil {
		return fail(refused)
	}
	if refused := cluster.verifyToken(token); refused != nil {
		return fail(refused)
	}
	if refused := checkOutbound(c, cluster, &claims); refused != nil {
		return fail(refused)
	}
	if refused := checkClaims(&claims, clientIDs, req.trueNow); refused != nil {
		return fail(refused)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := checkSTSRegion(c, req, account); refused != nil {
		return fail(refused)
	}
	role := c.roleInForce(arn)
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
	sess.policy, sess.provider = policy, claims.ProviderARN(c.partition.name, account)
	c.sessions[sess.accessKeyID] = sess
	return sess, percent, &claims, nil
}

// registered finds the cluster whose issuer is exactly this and is registered with
// the account, and the audiences registered. A provider whose issuer is no cluster
// of the cloud has no cluster: no keys can be fetched.
func registered(c *Cloud, account, issuer string) (*Cluster, []string, *refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var provider *oidcProvider
	if a := c.accounts[account]; a != nil {
		provider = a.providersInForce.inForce(c, issuer)
	}
	if provider == nil {
		refused := invalidToken("No OpenIDConnect provider found in your account for " + issuer)
		return nil, nil, refused.because("account %s, the role's, has no OIDC provider for the token's issuer %s; register it there (Account.AddOIDCProvider, CreateOpenIDConnectProvider)", account, issuer)
	}
	cluster := provider.foreign
	if cluster == nil {
		cluster = c.clusters[issuer]
	}
	if cluster == nil {
		refused := invalidToken("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
		return nil, nil, refused.because("no cluster of the cloud has the issuer %s; make it with Cloud.Cluster", issuer)
	}
	return cluster, provider.clientIDs, nil
}

// admitToken asks the role's trust policy. The cloud's mutex must be held.
func (r *Role) admitToken(req *request, claims *trust.Token, life time.Duration) *refusal {
	provider := claims.ProviderARN(r.account.cloud.partition.name, r.account.id)
	_, issuer, _ := strings.Cut(claims.Issuer, "://")
	keys := globalKeys(req)
	keys[issuer+":sub"] = []string{claims.Subject}
	keys[issuer+":aud"] = claims.Audience
	keys["sts:RoleSessionName"] = []string{req.param("RoleSessionName")}
	keys["aws:FederatedProvider"] = []string{provider}
	keys.setDuration(life)
	admits := r.admits.inForce(r.account.cloud)
	a := access{
		federated: trust.Principals{"Federated": {provider}}, owner: r.account, action: "sts:AssumeRoleWithWebIdentity", resource: r.arn, keys: keys,
		policy: admits.document.policy, pins: admits.pins, isTrust: true,
	}
	allowed, why := a.decide()
	if !allowed {
		req.call.Explain = why
		return notAuthorizedForWebIdentity()
	}
	req.call.allow(why)
	return nil
}

func notAuthorizedForWebIdentity() *refusal {
	return &refusal{status: http.StatusForbidden, code: "AccessDenied", message: "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
}

func tooLongForRole() *refusal {
	return invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
}
