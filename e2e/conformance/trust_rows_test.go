package conformance

// admits and refuses are rows of a trust policy and the table's token.
func admits(name, policy, doc string, differs map[server]difference) row {
	return trustRow(name, policy, 200, "", doc, differs)
}

func refuses(name, policy, doc string, differs map[server]difference) row {
	return trustRow(name, policy, 403, "AccessDenied", doc, differs)
}

func trustRow(name, policy string, status int, code, doc string, differs map[server]difference) row {
	if differs == nil {
		differs = sameOnCeph()
	}
	return row{name: "trust: " + name, status: status, code: code, doc: doc, differs: differs, ask: func(w *world) ask {
		return exchange(w.trusting(w.t, policy), claims{})(w)
	}}
}

// statement is a trust policy of one statement with these conditions.
func statement(conditions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{` + conditions + `}}]}`
}

func trustRows() []row {
	const (
		aud   = `"StringEquals":{"KEY:aud":"sts.amazonaws.com"}`
		allow = `{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"}}`
	)
	const noColon = "a star matches no colon"
	document := func(statements string) string {
		return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
	}
	return []row{
		admits("aud and sub", statement(`"StringEquals":{"KEY:aud":"sts.amazonaws.com","KEY:sub":"`+subject+`"}`), docCond, nil),
		refuses("another sub", statement(`"StringEquals":{"KEY:sub":"system:serviceaccount:default:other"}`), docCond, nil),
		refuses("case of sub", statement(`"StringEquals":{"KEY:sub":"system:serviceaccount:Default:app"}`), docCond, nil),
		admits("case ignored", statement(`"StringEqualsIgnoreCase":{"KEY:sub":"system:serviceaccount:Default:app"}`), docCond, nil),
		refuses("wildcard under StringEquals", statement(`"StringEquals":{"KEY:sub":"system:serviceaccount:default:*"}`), docCond, nil),
		admits("wildcard under StringLike", statement(`"StringLike":{"KEY:sub":"system:serviceaccount:default:*"}`), docCond, nil),
		admits("question mark under StringLike", statement(`"StringLike":{"KEY:sub":"system:serviceaccount:default:a?p"}`), docCond, nil),
		refuses("StringLike of another namespace", statement(`"StringLike":{"KEY:sub":"system:serviceaccount:prod:*"}`), docCond, nil),
		admits("one of two values", statement(`"StringEquals":{"KEY:sub":["system:serviceaccount:default:other","`+subject+`"]}`), docCond, nil),
		refuses("none of two values", statement(`"StringEquals":{"KEY:sub":["system:serviceaccount:default:x","system:serviceaccount:default:y"]}`), docCond, nil),
		refuses("both operators must hold", statement(aud+`,"StringLike":{"KEY:sub":"*:nobody"}`), docCond, nil),
		admits("both operators hold", statement(aud+`,"StringLike":{"KEY:sub":"*:app"}`), docCond, onlyCeph(403, "AccessDenied", noColon)),
		refuses("StringNotEquals of the token's own sub", statement(`"StringNotEquals":{"KEY:sub":"`+subject+`"}`), docCond, nil),
		admits("StringNotEquals of another", statement(`"StringNotEquals":{"KEY:sub":"system:serviceaccount:default:other"}`), docCond, nil),
		refuses("StringNotLike", statement(`"StringNotLike":{"KEY:sub":"*:app"}`), docCond, onlyCeph(200, "", noColon)),
		refuses("a key that the token lacks", statement(`"StringEquals":{"KEY:email":"a@example.com"}`), docCond, nil),
		admits("IfExists of a key that the token lacks", statement(aud+`,"StringEqualsIfExists":{"KEY:email":"a@example.com"}`), docCond, nil),
		refuses("IfExists of a key that differs", statement(`"StringEqualsIfExists":{"KEY:sub":"system:serviceaccount:default:other"}`), docCond, nil),
		admits("Null true of a key that the token lacks", statement(`"Null":{"KEY:email":"true"}`), docCond, nil),
		refuses("Null true of a key that is there", statement(`"Null":{"KEY:sub":"true"}`), docCond, nil),
		admits("ForAnyValue of aud", statement(`"ForAnyValue:StringEquals":{"KEY:aud":["sts.amazonaws.com","other"]}`), docMulti, nil),
		refuses("ForAnyValue of another aud", statement(`"ForAnyValue:StringEquals":{"KEY:aud":["other"]}`), docMulti, nil),
		admits("ForAllValues of aud", statement(`"ForAllValues:StringEquals":{"KEY:aud":["sts.amazonaws.com","other"]}`), docMulti, nil),
		admits("ForAllValues of a key that the token lacks", statement(aud+`,"ForAllValues:StringEquals":{"KEY:amr":["x"]}`), docMulti, nil),
		admits("no condition", document(allow), docEval, nil),
		refuses("Deny beside Allow", document(allow+`,{"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{"StringEquals":{"KEY:sub":"`+subject+`"}}}`), docEval, nil),
		admits("Deny of another sub", document(allow+`,{"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDER"},"Condition":{"StringEquals":{"KEY:sub":"other"}}}`), docEval, nil),
		admits("wildcard action", document(`{"Effect":"Allow","Action":"sts:Assume*","Principal":{"Federated":"PROVIDER"}}`), docEval, nil),
		refuses("another action", document(`{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Federated":"PROVIDER"}}`), docEval, nil),
		refuses("another provider", document(`{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"PROVIDERX"}}`), docEval, nil),
	}
}
