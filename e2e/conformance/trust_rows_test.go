package conformance

import "fmt"

// policyRow is a trust policy, and whether it admits the tokens of two service
// accounts: app, which most policies name, and other.
type policyRow struct {
	name, policy string
	app, other   bool
	doc          string
	ceph         string // for which of the two Ceph decides differently: "app", "other", "both"
	why          string
	versity      string // for which of the two versitygw refuses with the same response as AWS
}

// What versitygw responds if a trust policy admits a token, or if its conditions do not.
var (
	unfetched = difference{status: 400, code: "InvalidIdentityToken", match: []string{unreachable}, why: "admits, and then cannot fetch the keys"}
	unmatched = difference{status: 400, code: "InvalidIdentityToken", match: []string{"could not be validated"}, why: "a condition that does not hold is InvalidIdentityToken"}
)

// trustRows returns a row for each pair of a policy and a token.
func trustRows() []row {
	var rows []row
	for _, p := range append(conditionPolicies(), documentPolicies()...) {
		arn := "" // one role for both tokens
		for _, who := range []string{"app", "other"} {
			admitted := map[string]bool{"app": p.app, "other": p.other}[who]
			r := row{name: fmt.Sprintf("trust: %s: %s", p.name, who), doc: p.doc, ask: func(w *world) ask {
				if arn == "" {
					arn = w.trusting(w.t, p.policy)
				}
				return exchange(arn, claims{serviceAccount: who})(w)
			}}
			r.status, r.code = outcome(admitted)
			r.differs = map[server]difference{}
			if p.ceph == who || p.ceph == "both" {
				status, code := outcome(!admitted)
				r.differs[gateway] = difference{status: status, code: code, why: p.why}
			}
			switch {
			case admitted:
				r.differs[versityServer] = unfetched
			case p.versity != who && p.versity != "both":
				r.differs[versityServer] = unmatched
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func outcome(admitted bool) (int, string) {
	if admitted {
		return 200, ""
	}
	return 403, "AccessDenied"
}

// conditionPolicies have a single statement with these conditions.
func conditionPolicies() []policyRow {
	const (
		aud     = `"StringEquals":{"KEY:aud":"sts.amazonaws.com"}`
		other   = "system:serviceaccount:default:other"
		noColon = "a star matches no colon"
	)
	rows := []policyRow{
		{name: "aud and sub", policy: `"StringEquals":{"KEY:aud":"sts.amazonaws.com","KEY:sub":"` + subject + `"}`, app: true, doc: docCond},
		{name: "sub of other", policy: `"StringEquals":{"KEY:sub":"` + other + `"}`, other: true, doc: docCond},
		{name: "case of sub", policy: `"StringEquals":{"KEY:sub":"system:serviceaccount:Default:app"}`, doc: docCond},
		{name: "case ignored", policy: `"StringEqualsIgnoreCase":{"KEY:sub":"system:serviceaccount:Default:app"}`, app: true, doc: docCond},
		{name: "case ignored, negated", policy: `"StringNotEqualsIgnoreCase":{"KEY:sub":"system:serviceaccount:Default:app"}`, other: true, doc: docCond},
		{name: "wildcard under StringEquals", policy: `"StringEquals":{"KEY:sub":"system:serviceaccount:default:*"}`, doc: docCond},
		{name: "wildcard under StringLike", policy: `"StringLike":{"KEY:sub":"system:serviceaccount:default:*"}`, app: true, other: true, doc: docCond},
		{name: "question mark under StringLike", policy: `"StringLike":{"KEY:sub":"system:serviceaccount:default:a?p"}`, app: true, doc: docCond},
		{name: "StringLike of another namespace", policy: `"StringLike":{"KEY:sub":"system:serviceaccount:prod:*"}`, doc: docCond},
		{name: "StringLike across colons", policy: aud + `,"StringLike":{"KEY:sub":"*:app"}`, app: true, doc: docCond, ceph: "app", why: noColon},
		{name: "StringNotLike across colons", policy: `"StringNotLike":{"KEY:sub":"*:app"}`, other: true, doc: docCond, ceph: "app", why: noColon},
		{name: "StringNotLike", policy: `"StringNotLike":{"KEY:sub":"system:serviceaccount:default:a*"}`, other: true, doc: docCond},
		{name: "StringLikeIfExists", policy: `"StringLikeIfExists":{"KEY:sub":"system:serviceaccount:default:o*"}`, other: true, doc: docCond},
		{name: "one of two values", policy: `"StringEquals":{"KEY:sub":["` + other + `","` + subject + `"]}`, app: true, other: true, doc: docCond},
		{name: "none of two values", policy: `"StringEquals":{"KEY:sub":["system:serviceaccount:default:x","system:serviceaccount:default:y"]}`, doc: docCond},
		{name: "not one of two values", policy: `"StringNotEquals":{"KEY:sub":["` + subject + `","system:serviceaccount:default:y"]}`, other: true, doc: docCond, ceph: "app", why: "refuses only if it equals all values"},
		{name: "two operators, one fails", policy: aud + `,"StringLike":{"KEY:sub":"system:serviceaccount:default:stranger"}`, doc: docCond},
		{name: "two operators", policy: aud + `,"StringLike":{"KEY:sub":"system:serviceaccount:default:app"}`, app: true, doc: docCond},
		{name: "StringNotEquals app", policy: `"StringNotEquals":{"KEY:sub":"` + subject + `"}`, other: true, doc: docCond},
		{name: "StringNotEquals other", policy: `"StringNotEquals":{"KEY:sub":"` + other + `"}`, app: true, doc: docCond},
		{name: "one of two audiences", policy: `"StringEquals":{"KEY:aud":["elsewhere","sts.amazonaws.com"]}`, app: true, other: true, doc: docCond},
		{name: "a key that the token lacks", policy: `"StringEquals":{"KEY:email":"a@example.com"}`, doc: docCond},
		{name: "a key that the token lacks, negated", policy: `"StringNotEquals":{"KEY:email":"a@example.com"}`, app: true, other: true, doc: docCond, ceph: "both", why: "a missing key fails negated operators too"},
		{name: "IfExists of a key that the token lacks", policy: aud + `,"StringEqualsIfExists":{"KEY:email":"a@example.com"}`, app: true, other: true, doc: docCond},
		{name: "IfExists of a key that is there", policy: `"StringEqualsIfExists":{"KEY:sub":"` + other + `"}`, other: true, doc: docCond},
		{name: "session name", policy: `"StringEquals":{"sts:RoleSessionName":"row"}`, app: true, other: true, doc: docNames, ceph: "both", why: "Ceph 16 does not know the key"},
		{name: "another session name", policy: `"StringLike":{"sts:RoleSessionName":"team-*"}`, doc: docNames},
		{name: "Null true of a key that the token lacks", policy: `"Null":{"KEY:email":"true"}`, app: true, other: true, doc: docCond},
		{name: "Null true of a key that is there", policy: `"Null":{"KEY:sub":"true"}`, doc: docCond},
		{name: "Null false of a key that is there", policy: `"Null":{"KEY:sub":"false"}`, app: true, other: true, doc: docCond, ceph: "both", why: "Null ignores its value"},
		{name: "Null false of a key that the token lacks", policy: `"Null":{"KEY:email":"false"}`, doc: docCond, ceph: "both", why: "Null ignores its value"},
		{name: "Bool of a key that the token lacks", policy: `"Bool":{"KEY:admin":"true"}`, doc: docCond},
		{name: "BoolIfExists of a key that the token lacks", policy: `"BoolIfExists":{"KEY:admin":"true"}`, app: true, other: true, doc: docCond},
		{name: "NumericEquals of a key that the token lacks", policy: `"NumericEquals":{"KEY:level":"1"}`, doc: docCond},
		{name: "ArnLike of what is no ARN", policy: `"ArnLike":{"KEY:sub":"arn:aws:*"}`, doc: docCond},
		{name: "ForAnyValue of aud", policy: `"ForAnyValue:StringEquals":{"KEY:aud":["sts.amazonaws.com","other"]}`, app: true, other: true, doc: docMulti},
		{name: "ForAnyValue of another aud", policy: `"ForAnyValue:StringEquals":{"KEY:aud":["other"]}`, doc: docMulti},
		{name: "ForAnyValue of a key that the token lacks", policy: `"ForAnyValue:StringEquals":{"KEY:amr":["x"]}`, doc: docMulti},
		{name: "ForAllValues of aud", policy: `"ForAllValues:StringEquals":{"KEY:aud":["sts.amazonaws.com","other"]}`, app: true, other: true, doc: docMulti},
		{name: "ForAllValues of a key that the token lacks", policy: aud + `,"ForAllValues:StringEquals":{"KEY:amr":["x"]}`, app: true, other: true, doc: docMulti},
		{name: "ForAllValues StringLike of sub", policy: `"ForAllValues:StringLike":{"KEY:sub":["system:serviceaccount:default:a*"]}`, app: true, doc: docMulti},
	}
	for i := range rows {
		rows[i].policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{` + rows[i].policy + `}}]}`
	}
	return rows
}

// documentPolicies have several statements, or other elements.
func documentPolicies() []policyRow {
	const (
		allow = `{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"}}`
		deny  = `{"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{"StringEquals":{"KEY:sub":"`
	)
	only := func(sub string) string {
		return `{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{"StringEquals":{"KEY:sub":"` + sub + `"}}}`
	}
	rows := []policyRow{
		{name: "no condition", policy: allow, app: true, other: true, doc: docEval},
		{name: "Deny and Allow", policy: allow + "," + deny + subject + `"}}}`, other: true, doc: docEval, versity: "app"},
		{name: "Deny before Allow", policy: deny + subject + `"}}},` + allow, other: true, doc: docEval, versity: "app"},
		{name: "Deny that does not match", policy: allow + "," + deny + `stranger"}}}`, app: true, other: true, doc: docEval},
		{name: "two statements", policy: only(subject) + "," + only("system:serviceaccount:default:other"), app: true, other: true, doc: docEval},
		{name: "Deny alone", policy: deny + `stranger"}}}`, doc: docEval},
		{name: "wildcard action", policy: `{"Effect":"Allow","Action":"sts:Assume*","Principal":{"Federated":"PROVIDER"}}`, app: true, other: true, doc: docEval},
		{name: "two actions", policy: `{"Effect":"Allow","Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"],"Principal":{"Federated":"PROVIDER"}}`, app: true, other: true, doc: docEval},
		{name: "another action", policy: `{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":"PROVIDER"}}`, doc: docEval, versity: "both"},
		{name: "another provider", policy: `{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDERX"}}`, doc: docEval, versity: "both"},
		{name: "all actions but another", policy: `{"Effect":"Allow","NotAction":"sts:AssumeRole","Principal":{"Federated":"PROVIDER"}}`, app: true, other: true, doc: docEval, ceph: "both", why: "NotAction allows nothing"},
		{name: "all actions but this", policy: `{"Effect":"Allow","NotAction":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"}}`, doc: docEval, versity: "both"},
		{name: "two providers", policy: `{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":["PROVIDERX","PROVIDER"]}}`, app: true, other: true, doc: docEval, ceph: "both", why: "every principal must be a provider that exists"},
	}
	for i := range rows {
		rows[i].policy = `{"Version":"2012-10-17","Statement":[` + rows[i].policy + `]}`
	}
	return rows
}
