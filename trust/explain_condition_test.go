package trust_test

import (
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/trust"
)

type context = map[string][]string

// decide evaluates a policy with a single statement, an Allow with this Condition.
func decide(t *testing.T, condition string, ctx context) trust.Decision {
	t.Helper()
	policy, err := trust.ParsePolicy([]byte(of(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":` + condition + `}`)))
	if err != nil {
		t.Fatal(err)
	}
	return policy.Explain(trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/a", Context: ctx})
}

type conditionCase struct {
	condition string
	context   context
	want      bool
}

func runConditions(t *testing.T, cases []conditionCase) {
	t.Helper()
	for _, test := range cases {
		if got := decide(t, test.condition, test.context); got.Allowed != test.want {
			t.Errorf("%s with %v: allowed %v, want %v: %s", test.condition, test.context, got.Allowed, test.want, got.Reasons[0].Text)
		}
	}
}

// IAM User Guide, "Condition operators", section "String condition operators".
func TestConditionString(t *testing.T) {
	key := func(v ...string) context { return context{"aws:x": v} }
	runConditions(t, []conditionCase{
		// "Exact matching, case sensitive"
		{`{"StringEquals":{"aws:x":"a"}}`, key("a"), true},
		{`{"StringEquals":{"aws:x":"a"}}`, key("A"), false},
		{`{"StringEquals":{"aws:x":"a"}}`, key("a "), false},
		{`{"StringEquals":{"aws:x":""}}`, key(""), true},
		// Wildcards are for StringLike alone.
		{`{"StringEquals":{"aws:x":"a*"}}`, key("ab"), false},
		{`{"StringEquals":{"aws:x":"a*"}}`, key("a*"), true},
		// "Negated matching"
		{`{"StringNotEquals":{"aws:x":"a"}}`, key("b"), true},
		{`{"StringNotEquals":{"aws:x":"a"}}`, key("a"), false},
		{`{"StringNotEquals":{"aws:x":"a*"}}`, key("ab"), true},
		// "Exact matching, ignoring case"
		{`{"StringEqualsIgnoreCase":{"aws:x":"AbC"}}`, key("aBc"), true},
		{`{"StringEqualsIgnoreCase":{"aws:x":"a*"}}`, key("ab"), false},
		{`{"StringNotEqualsIgnoreCase":{"aws:x":"AbC"}}`, key("aBc"), false},
		{`{"StringNotEqualsIgnoreCase":{"aws:x":"AbC"}}`, key("x"), true},
		// "Case-sensitive matching. The values can include multi-character match
		// wildcards (*) and single-character match wildcards (?) anywhere"
		{`{"StringLike":{"aws:x":"system:serviceaccount:apps:*"}}`, key("system:serviceaccount:apps:reader"), true},
		{`{"StringLike":{"aws:x":"system:serviceaccount:apps:*"}}`, key("system:serviceaccount:app:reader"), false},
		{`{"StringLike":{"aws:x":"a*c"}}`, key("aC"), false},
		{`{"StringLike":{"aws:x":"*"}}`, key(""), true},
		{`{"StringLike":{"aws:x":"a?c"}}`, key("aéc"), true},
		{`{"StringLike":{"aws:x":"a?c"}}`, key("ac"), false},
		{`{"StringLike":{"aws:x":"*a*b*c*"}}`, key("xxaxxbxxc"), true},
		{`{"StringLike":{"aws:x":"*a*b*c*"}}`, key("xxaxxcxxb"), false},
		// "You must specify wildcards to achieve partial string matches"
		{`{"StringLike":{"aws:x":"a"}}`, key("ab"), false},
		{`{"StringNotLike":{"aws:x":"a*"}}`, key("ab"), false},
		{`{"StringNotLike":{"aws:x":"a*"}}`, key("ba"), true},
	})
}

// IAM User Guide, "Condition operators", sections on numbers, dates, booleans,
// binary values and addresses.
func TestConditionTypes(t *testing.T) {
	key := func(v ...string) context { return context{"aws:x": v} }
	runConditions(t, []conditionCase{
		// "comparing a key to an integer or decimal value"
		{`{"NumericEquals":{"aws:x":10}}`, key("10.0"), true},
		{`{"NumericEquals":{"aws:x":"10"}}`, key("11"), false},
		{`{"NumericEquals":{"aws:x":"9007199254740993"}}`, key("9007199254740992"), false},
		{`{"NumericEquals":{"aws:x":"ten"}}`, key("ten"), false},
		{`{"NumericEquals":{"aws:x":"1e999999999"}}`, key("1e999999999"), false},
		{`{"NumericNotEquals":{"aws:x":"10"}}`, key("10"), false},
		{`{"NumericNotEquals":{"aws:x":"10"}}`, key("-10"), true},
		{`{"NumericLessThan":{"aws:x":"10"}}`, key("9"), true},
		{`{"NumericLessThan":{"aws:x":"10"}}`, key("10"), false},
		{`{"NumericLessThanEquals":{"s3:max-keys":"10"}}`, context{"s3:max-keys": {"10"}}, true},
		{`{"NumericLessThanEquals":{"aws:x":"10"}}`, key("10.1"), false},
		{`{"NumericGreaterThan":{"aws:x":"9"}}`, key("10"), true},
		{`{"NumericGreaterThan":{"aws:x":"10"}}`, key("10"), false},
		{`{"NumericGreaterThanEquals":{"aws:x":"10"}}`, key("10"), true},
		{`{"NumericGreaterThanEquals":{"aws:x":"10"}}`, key("9.99"), false},
		// "one of the W3C implementations of the ISO 8601 date formats or in epoch
		// (UNIX) time"
		{`{"DateGreaterThan":{"aws:x":"2020-01-01T00:00:01Z"}}`, key("2020-01-01T00:00:02Z"), true},
		{`{"DateGreaterThan":{"aws:x":"2020-01-01T00:00:01Z"}}`, key("2020-01-01T00:00:01Z"), false},
		{`{"DateGreaterThanEquals":{"aws:x":"2020-01-01"}}`, key("2020-01-01T00:00:00Z"), true},
		{`{"DateLessThan":{"aws:x":"2021"}}`, key("2020-12-31T23:59:59.999Z"), true},
		{`{"DateLessThan":{"aws:x":"2021-01"}}`, key("2021-01-01T00:00:00Z"), false},
		{`{"DateLessThanEquals":{"aws:x":"2020-01-01T02:00+02:00"}}`, key("2020-01-01T00:00:00Z"), true},
		{`{"DateEquals":{"aws:x":"1577836800"}}`, key("2020-01-01T00:00:00Z"), true},
		{`{"DateEquals":{"aws:x":1577836800}}`, key("1577836800"), true},
		{`{"DateNotEquals":{"aws:x":"1577836800"}}`, key("2020-01-01"), false},
		{`{"DateLessThan":{"aws:x":"tomorrow"}}`, key("2020-01-01"), false},
		// "Wildcards are not permitted for date condition operators."
		{`{"DateEquals":{"aws:x":"2020*"}}`, key("2020-01-01"), false},
		// "comparing a key to true or false"
		{`{"Bool":{"aws:SecureTransport":"false"}}`, context{"aws:SecureTransport": {"false"}}, true},
		{`{"Bool":{"aws:SecureTransport":true}}`, context{"aws:SecureTransport": {"false"}}, false},
		{`{"Bool":{"aws:x":"True"}}`, key("true"), true},
		{`{"Bool":{"aws:x":"yes"}}`, key("yes"), false},
		// "byte for byte against a base-64 encoded representation"
		{`{"BinaryEquals":{"aws:x":"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}`, key("QmluYXJ5VmFsdWVJbkJhc2U2NA=="), true},
		{`{"BinaryEquals":{"aws:x":"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}`, key("QmluYXJ5"), false},
		{`{"BinaryEquals":{"aws:x":"!"}}`, key("!"), false},
		// "If you specify an IP address without the associated routing prefix, IAM
		// uses the default prefix value of /32."
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, context{"aws:SourceIp": {"203.0.113.255"}}, true},
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, context{"aws:SourceIp": {"203.0.114.0"}}, false},
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}`, context{"aws:SourceIp": {"203.0.113.7"}}, true},
		{`{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64"]}}`, context{"aws:SourceIp": {"2001:db8:1234:5678::9"}}, true},
		{`{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, context{"aws:SourceIp": {"2001:db8::1"}}, false},
		{`{"IpAddress":{"aws:SourceIp":"not an address"}}`, context{"aws:SourceIp": {"203.0.113.7"}}, false},
		{`{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","10.0.0.0/8"]}}`, context{"aws:SourceIp": {"10.1.2.3"}}, false},
		{`{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","10.0.0.0/8"]}}`, context{"aws:SourceIp": {"192.0.2.1"}}, true},
	})
}

// IAM User Guide, "Condition operators", section "Amazon Resource Name (ARN)
// condition operators": "Each of the six colon-delimited components of the ARN
// is checked separately"; "ArnEquals and ArnLike … behave identically".
func TestConditionARN(t *testing.T) {
	key := func(v ...string) context { return context{"aws:SourceArn": v} }
	runConditions(t, []conditionCase{
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-west-1:123456789012:topic"}}`, key("arn:aws:sns:eu-west-1:123456789012:topic"), true},
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:*:123456789012:*"}}`, key("arn:aws:sns:eu-west-1:123456789012:topic"), true},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:t?pic"}}`, key("arn:aws:sns:eu-west-1:123456789012:topic"), true},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:123456789012:Topic"}}`, key("arn:aws:sns:eu-west-1:123456789012:topic"), false},
		// The guide's own example of what StringLike matches and ArnLike doesn't.
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}}`, key("arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"), false},
		{`{"StringLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}}`, key("arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"), true},
		{`{"ArnLike":{"aws:SourceArn":"*"}}`, key("arn:aws:sns:eu-west-1:123456789012:topic"), false},
		{`{"ArnLike":{"aws:SourceArn":"arn:*:*:*:*:*"}}`, key("no ARN"), false},
		{`{"ArnNotEquals":{"aws:SourceArn":"arn:aws:iam::444455556666:user/*"}}`, key("arn:aws:iam::444455556666:user/bob"), false},
		{`{"ArnNotLike":{"aws:SourceArn":"arn:aws:iam::444455556666:user/*"}}`, key("arn:aws:iam::444455556666:role/bob"), true},
	})
}

// IAM User Guide, "Condition operators": the introduction, "…IfExists" and
// "Condition operator to check existence of condition keys".
func TestConditionAbsence(t *testing.T) {
	runConditions(t, []conditionCase{
		// "If the key … is not present in the request context, the values do not
		// match and the condition is false"; negated ones are true.
		{`{"StringEquals":{"aws:x":"a"}}`, nil, false},
		{`{"StringLike":{"aws:x":"*"}}`, nil, false},
		{`{"StringEquals":{"aws:x":"a"}}`, context{"aws:x": {}}, false},
		{`{"StringNotEquals":{"aws:x":"a"}}`, nil, true},
		{`{"StringNotLike":{"aws:x":"*"}}`, nil, true},
		{`{"ArnNotLike":{"aws:x":"arn:aws:iam::1:*"}}`, nil, true},
		{`{"NumericNotEquals":{"aws:x":"1"}}`, nil, true},
		{`{"DateNotEquals":{"aws:x":"2020"}}`, nil, true},
		{`{"NotIpAddress":{"aws:x":"10.0.0.0/8"}}`, nil, true},
		{`{"Bool":{"aws:x":"false"}}`, nil, false},
		// "If the key is not present, evaluate the condition element as true."
		{`{"StringEqualsIfExists":{"aws:x":"a"}}`, nil, true},
		{`{"StringEqualsIfExists":{"aws:x":"a"}}`, context{"aws:x": {"b"}}, false},
		{`{"BoolIfExists":{"aws:x":"true"}}`, nil, true},
		{`{"StringNotEqualsIfExists":{"aws:x":"a"}}`, nil, true},
		// "true (the key doesn't exist — it is null) or false"
		{`{"Null":{"aws:TokenIssueTime":"true"}}`, nil, true},
		{`{"Null":{"aws:TokenIssueTime":"true"}}`, context{"aws:tokenissuetime": {"2020"}}, false},
		{`{"Null":{"aws:TokenIssueTime":false}}`, context{"aws:TokenIssueTime": {"2020"}}, true},
		{`{"Null":{"aws:TokenIssueTime":false}}`, nil, false},
		// "Context key names are not case-sensitive" ("Condition").
		{`{"StringEquals":{"AWS:UserName":"bob"}}`, context{"aws:username": {"bob"}}, true},
		// The console's empty Condition restricts nothing.
		{`{}`, nil, true},
	})
}

// IAM User Guide, "Conditions with multiple context keys or values" and
// "Single-valued vs. multivalued context keys".
func TestConditionSets(t *testing.T) {
	tags := func(v ...string) context { return context{"aws:TagKeys": v} }
	runConditions(t, []conditionCase{
		// "multiple values for a context key … are evaluated using a logical OR"
		{`{"StringEquals":{"aws:x":["a","b"]}}`, context{"aws:x": {"b"}}, true},
		// "a single negated matching condition operator … using a logical NOR"
		{`{"StringNotEquals":{"aws:x":["a","b"]}}`, context{"aws:x": {"b"}}, false},
		{`{"StringNotEquals":{"aws:x":["a","b"]}}`, context{"aws:x": {"c"}}, true},
		// Operators and keys "are evaluated using a logical AND".
		{`{"StringEquals":{"aws:x":"a","aws:y":"b"}}`, context{"aws:x": {"a"}, "aws:y": {"b"}}, true},
		{`{"StringEquals":{"aws:x":"a","aws:y":"b"}}`, context{"aws:x": {"a"}, "aws:y": {"c"}}, false},
		{`{"StringEquals":{"aws:x":"a"},"Bool":{"aws:y":"true"}}`, context{"aws:x": {"a"}, "aws:y": {"false"}}, false},
		// "every value … must match at least one"; true without the key.
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, tags("a", "b", "a"), true},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, tags("a", "c"), false},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, nil, true},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`, tags(""), true},
		{`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, tags("c", "a"), false},
		{`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, tags("c", "d"), true},
		// "at least one member … matches at least one"; false without the key.
		{`{"ForAnyValue:StringLike":{"aws:TagKeys":["a*","b"]}}`, tags("c", "ab"), true},
		{`{"ForAnyValue:StringLike":{"aws:TagKeys":["a*","b"]}}`, tags("c", "d"), false},
		{`{"ForAnyValue:StringLike":{"aws:TagKeys":"*"}}`, nil, false},
		{`{"ForAnyValue:StringLike":{"aws:TagKeys":"*"}}`, tags(""), false},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, tags("a", "c"), true},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, tags("a", "b"), false},
		{`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}`, nil, false},
		{`{"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"a"}}`, nil, false},
		// Several values without a set operator: this package's choice.
		{`{"StringEquals":{"aws:TagKeys":"a"}}`, tags("c", "a"), true},
		{`{"StringNotEquals":{"aws:TagKeys":"a"}}`, tags("c", "a"), false},
		// Names that differ only in case are the same key.
		{`{"ForAllValues:StringEquals":{"aws:x":"a"}}`, context{"aws:x": {"a"}, "AWS:X": {"b"}}, false},
	})
}

// A request with a long value must not produce a pattern of that length times the
// number of variables in the policy.
func TestLongVariableCostsLittle(t *testing.T) {
	variables := strings.Repeat("${aws:UserAgent}", 1000)
	policy, err := trust.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::pics/` + variables + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	request := trust.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::pics/a", Context: context{"aws:UserAgent": {strings.Repeat("a", 100_000)}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	allowed := policy.Explain(request).Allowed
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; allowed || used > 16<<20 {
		t.Errorf("allowed: %t, with %d bytes of memory", allowed, used)
	}
}

// StringLike gives the same result as an equivalent regular expression, for patterns
// with many wildcards and of more than 64 characters.
func TestStringLikeAgainstRegexp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, most int) string {
		b := make([]byte, random.IntN(most))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	matched := 0
	for i := range 4000 {
		most := 8
		if i%4 == 0 {
			most = 200
		}
		pattern, value := text("aab:*?*", most), text("aab:", most)
		if i%3 == 0 { // one that almost matches
			value = strings.NewReplacer("*", text("ab:", 9), "?", "b").Replace(pattern)
		}
		expression := regexp.MustCompile("(?s)^" + strings.NewReplacer("*", ".*", "?", ".").Replace(pattern) + "$")
		want := expression.MatchString(value)
		if want {
			matched++
		}
		p := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
			Effect: "Allow", Action: []string{"a:b"}, Resource: []string{"*"},
			Condition: trust.Conditions{"StringLike": {"a:k": {pattern}}},
		}}}
		// An empty value is a value.
		got := p.Explain(trust.Request{Action: "a:b", Resource: "arn:aws:a:::x", Context: context{"a:k": {value}}}).Allowed
		if got != want {
			t.Fatalf("%q like %q: got %t, want %t", value, pattern, got, want)
		}
	}
	if matched < 500 {
		t.Errorf("only %d values matched", matched)
	}
}

// The worst case for the largest policy and a long value: each place in the pattern is
// reached at each character.
func BenchmarkLongPattern(b *testing.B) {
	p := &trust.Policy{Version: "2012-10-17", Statements: []trust.Statement{{
		Effect: "Allow", Action: []string{"a:b"}, Resource: []string{"*"},
		Condition: trust.Conditions{"StringLike": {"a:k": {strings.Repeat("a*", 10_000) + "b"}}},
	}}}
	request := trust.Request{Action: "a:b", Resource: "arn:aws:a:::x", Context: context{"a:k": {strings.Repeat("a", 20_000)}}}
	for b.Loop() {
		if p.Explain(request).Allowed {
			b.Fatal("allowed")
		}
	}
}
