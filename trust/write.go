package trust

// PolicyOptions are the settings that [WebIdentityPolicy] and [RolePolicy] share.
type PolicyOptions struct {
	Partition  string // empty: "aws"
	Audience   string // WebIdentityPolicy; empty: "sts.amazonaws.com"
	ExternalID string // RolePolicy; empty: none asked for

	// RolePolicy: also allow sts:TagSession and sts:SetSourceIdentity, which a
	// hop needs that carries tags or a source identity.
	TagSession, SetSourceIdentity bool
}

// WebIdentityPolicy writes the trust policy of a role that service accounts
// assume with their tokens: one statement an issuer (blue and green during a
// cluster migration), each admitting the subjects. account is the account of
// the role, where each issuer must be registered as an OIDC provider. A subject
// with * or ? is compared by StringLike, any other by StringEquals.
func WebIdentityPolicy(account string, issuers, subjects []string, optFns ...func(*PolicyOptions)) *Policy {
	return nil
}

// RolePolicy writes the trust policy of a role that another role, the hub, may
// assume.
func RolePolicy(hubRoleARN string, optFns ...func(*PolicyOptions)) *Policy {
	return nil
}
