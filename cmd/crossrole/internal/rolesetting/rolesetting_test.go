package rolesetting_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
)

const someRole = "arn:aws:iam::444455556666:role/S3_Pics"

func TestParseRole(t *testing.T) {
	for input, want := range map[string]rolesetting.Setting{
		someRole:       {Role: credentials.Role{ARN: someRole}},
		someRole + " ": {Role: credentials.Role{ARN: someRole}},
		someRole + ",external-id=a:b/c,session-name=batch,duration=30m,source-identity=alice,tags=team=pics;cost centre=1=2": {Role: credentials.Role{
			ARN: someRole, ExternalID: "a:b/c", SessionName: "batch", Duration: 30 * time.Minute, SourceIdentity: "alice",
			Tags: map[string]string{"team": "pics", "cost centre": "1=2"},
		}},
		// Commas that begin no setting.
		"arn:aws:iam::444455556666:role/a,b":                          {Role: credentials.Role{ARN: "arn:aws:iam::444455556666:role/a,b"}},
		"arn:aws:iam::444455556666:role/a%2Cduration=1h":              {Role: credentials.Role{ARN: "arn:aws:iam::444455556666:role/a,duration=1h"}},
		"arn:aws:iam::444455556666:role/a,b,external-id=x,y":          {Role: credentials.Role{ARN: "arn:aws:iam::444455556666:role/a,b", ExternalID: "x,y"}},
		someRole + ",external-id=x%2Cy%3D1":                           {Role: credentials.Role{ARN: someRole, ExternalID: "x,y=1"}},
		someRole + ",external-id=a=b":                                 {Role: credentials.Role{ARN: someRole, ExternalID: "a=b"}},
		someRole + ",session-name=a%2cduration=b":                     {Role: credentials.Role{ARN: someRole, SessionName: "a,duration=b"}},
		someRole + ",tags=k%3D1=v":                                    {Role: credentials.Role{ARN: someRole, Tags: map[string]string{"k=1": "v"}}},
		someRole + ",tags=empty=":                                     {Role: credentials.Role{ARN: someRole, Tags: map[string]string{"empty": ""}}},
		"own":                                                         {Own: true},
		"own,duration=12h,session-name=batch":                         {Own: true, Role: credentials.Role{Duration: 12 * time.Hour, SessionName: "batch"}},
		"arn:aws-cn:iam::444455556666:role/team%20/x":                 {}, // a space is in no ARN
		"arn:aws:iam::444455556666:role/own,duration=15m":             {Role: credentials.Role{ARN: "arn:aws:iam::444455556666:role/own", Duration: 15 * time.Minute}},
		"arn:aws-us-gov:iam::444455556666:role/r,session-name=@a.b=c": {Role: credentials.Role{ARN: "arn:aws-us-gov:iam::444455556666:role/r", SessionName: "@a.b=c"}},
	} {
		got, err := rolesetting.Parse(input)
		if want.Role.ARN == "" && !want.Own {
			if err == nil {
				t.Errorf("%s: no error", input)
			}
			continue
		}
		if err != nil || got.Own != want.Own || !reflect.DeepEqual(fields(got.Role), fields(want.Role)) {
			t.Errorf("%s: %+v %q, %v; want %q", input, got.Own, fields(got.Role), err, fields(want.Role))
		}
	}
}

// fields are a role with all that its Format leaves out.
func fields(r credentials.Role) string {
	keys := slices.Sorted(maps.Keys(r.Tags))
	var text strings.Builder
	text.WriteString(fmt.Sprint(r.ARN, "|", r.ExternalID, "|", r.SessionName, "|", r.SourceIdentity, "|", r.Duration))
	for _, k := range keys {
		text.WriteString("|" + k + "=" + r.Tags[k])
	}
	return text.String()
}

// A mistake is wrong usage; the text names the flag, the role, the rule and the
// way out, and never the external id.
func TestParseRoleRefuses(t *testing.T) {
	const known = "external-id, session-name, duration, source-identity, tags"
	for input, want := range map[string][]string{
		"":                                               {"no ARN"},
		",external-id=hush":                              {"no ARN"},
		someRole + ",external_id=hush":                   {`unknown setting "external_id"`, known},
		someRole + ",ExternalID=hush":                    {`unknown setting "ExternalID"`, known},
		someRole + ", external-id=hush":                  {"without spaces", known},
		someRole + ",external-id =hush":                  {"without spaces", known},
		someRole + ";external-id=hush":                   {"it is a setting: want ARN,external-id=ID"},
		someRole + " external-id=hush":                   {"it is a setting: want ARN,external-id=ID"},
		"external-id=hush," + someRole:                   {"it is a setting: want ARN,external-id=ID"},
		someRole + ",external-id:hush":                   {"it is a setting: want ARN,external-id=ID"},
		someRole + ",duration=1h;external-id=hush":       {"external-id is within duration"},
		someRole + ",tags=a=b;external-id=hush":          {"external-id is within tags"},
		someRole + ",external-id%3Dhush":                 {"written with %XX", "want ARN,external-id=ID"},
		someRole + ",external%2Did=hush":                 {"written with %XX"},
		someRole + ",session-name=a,external%2Did=hush":  {"written with %XX"},
		someRole + ",source-identity=external%5Fid:hush": {"written with %XX"},
		someRole + ",external-id=hush,hush=1":            {"the setting after external-id is unknown", known, "%2C"},
		someRole + ",external-id=hush hush":              {"external-id: 9 characters (not shown)", "letters, digits and"},
		someRole + ",external-id=hush%0A":                {"external-id: 5 characters (not shown)"},
		someRole + ",external-id=hush%":                  {"external-id: a percent sign", "%25"},
		someRole + ",external-id=hush,duration=1":        {`duration: "1" is not a duration`, "30m"},
		someRole + ",external-id=hush,optional":          {"optional is a setting of serve"},
		someRole + ",external-id=hush,external-id=hush2": {"external-id is set twice"},

		someRole + ",external-id=":            {"external-id is empty"},
		someRole + ",external-id":             {}, // no equals sign: a part of the role's name, which IAM allows
		someRole + ",role=x":                  {`unknown setting "role"`, known},
		someRole + ",duration=":               {"duration is empty"},
		someRole + ",duration=-1h":            {`duration: "-1h"; STS allows 15m to 12h`},
		someRole + ",duration=0":              {"STS allows 15m to 12h"},
		someRole + ",duration=13h":            {"STS allows 15m to 12h"},
		someRole + ",duration=1000000h":       {"STS allows 15m to 12h"},
		someRole + ",duration=9999999999h":    {"is not a duration"},
		someRole + ",duration=1h0.5s":         {"whole seconds"},
		someRole + ",duration=1h,duration=1h": {"duration is set twice"},
		someRole + ",session-name=a":          {`session-name: "a"; want 2–64`},
		someRole + ",session-name=a b":        {`session-name: "a b"; want 2–64`},
		someRole + ",session-name=a\x1b[2J":   {`"a\x1b[2J"`},
		someRole + ",source-identity=aws:x":   {"source-identity: "},
		someRole + ",tags=a":                  {"KEY=VALUE;KEY=VALUE"},
		someRole + ",tags=a=b,c=d":            {`unknown setting "c"`, "separate tags by semicolons"},
		someRole + ",tags=a=b;A=c":            {`key "A" is set twice`},
		someRole + ",tags=aws:a=b":            {"reserved"},
		someRole + ",tags==b":                 {`key "" has 0 characters`},
		someRole + ",tags=a=b;":               {"KEY=VALUE;KEY=VALUE"},
		someRole + ",tags=a=b!":               {"in keys and values"},
		someRole + ",optional":                {"optional is a setting of serve"},
		someRole + "\nx":                      {"no spaces, control characters"},
		someRole + "\u202e":                   {"no spaces, control characters"},
		someRole + "%zz":                      {"the ARN: a percent sign", "%25"},
		"own,external-id=hush":                {"external-id is a setting of a role that is assumed"},
		"own,tags=a=b":                        {"tags is a setting of a role that is assumed"},
		"own,source-identity=ab":              {"source-identity is a setting of a role that is assumed"},
		"own,sesion-name=ab":                  {`unknown setting "sesion-name"`, known},
	} {
		got, err := rolesetting.Parse(input)
		if len(want) == 0 {
			if err != nil || got.Role.ARN != input {
				t.Errorf("%q: %v", input, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "--role ") {
			t.Errorf("%q: %v; want wrong usage of --role", input, err)
			continue
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v; want %q", input, err, text)
			}
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the external id is printed: %v", err)
		}
		if strings.ContainsAny(err.Error(), "\x1b\n\u202e") {
			t.Errorf("control characters are printed: %q", err)
		}
	}
}

// parseNamed reads one --role of serve.
func parseNamed(flag string) (rolesetting.Named, error) {
	all, err := rolesetting.ParseAllNamed([]string{flag})
	if err != nil {
		return rolesetting.Named{}, err
	}
	return all[0], nil
}

// What is no ARN is wrong usage, and what looks like own is not taken for one.
func TestParseAllWantsARNs(t *testing.T) {
	for input, want := range map[string]string{
		"own,":                      "write own in lower case",
		"OWN":                       "write own in lower case",
		"Own,duration=12h":          "write own in lower case",
		"own.":                      `"own." is not an ARN`,
		"S3_Pics":                   `"S3_Pics" is not an ARN; want arn:aws:iam::ACCOUNT:role/NAME`,
		"S3_Pics,external-id=hush":  `"S3_Pics" is not an ARN`,
		" own":                      "",
		"arn:aws:iam::1:role/own,":  "",
		"arn:aws:iam::1:role/OWN,a": "",
	} {
		_, _, err := rolesetting.ParseAll([]string{input})
		_, errNamed := rolesetting.ParseAllNamed([]string{"pics=" + input})
		for _, err := range []error{err, errNamed} {
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "--role ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
				t.Errorf("%q: %v; want %q", input, err, want)
			}
		}
	}
	for _, name := range []string{"OWN", "S3_Pics", "own,"} { // names of roles, for setup
		if got, err := rolesetting.Parse(name); err != nil || got.Role.ARN != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestParseNamedRole(t *testing.T) {
	role := func(arn string) rolesetting.Setting { return rolesetting.Setting{Role: credentials.Role{ARN: arn}} }
	own := rolesetting.Setting{Own: true}
	for _, tt := range []struct {
		flag     string
		name     string
		setting  rolesetting.Setting
		optional bool
	}{
		{"pics=" + someRole, "pics", role(someRole), false},
		{"pics=arn:aws:iam::444455556666:role/a,b%2Cc=d,optional", "pics", role("arn:aws:iam::444455556666:role/a,b,c=d"), true},
		{
			"S3_Pics-2.x=" + someRole + ",external-id=a,b,optional,duration=30m", "S3_Pics-2.x",
			rolesetting.Setting{Role: credentials.Role{ARN: someRole, ExternalID: "a,b", Duration: 30 * time.Minute}}, true,
		},
		{"own", "own", own, false},
		{"own,optional", "own", own, true},
		{"mine=own", "mine", own, false},
		{"mine=own,duration=12h,optional", "mine", rolesetting.Setting{Own: true, Role: credentials.Role{Duration: 12 * time.Hour}}, true},
		{"mine,duration=12h", "mine", rolesetting.Setting{Own: true, Role: credentials.Role{Duration: 12 * time.Hour}}, false},
	} {
		got, err := parseNamed(tt.flag)
		if err != nil || got.Name != tt.name || got.Optional != tt.optional || got.Own != tt.setting.Own || fields(got.Role) != fields(tt.setting.Role) {
			t.Errorf("%s: %+v, %v; want %+v", tt.flag, got, err, tt)
		}
	}
	for flag, want := range map[string]string{
		"":                                 `"" is not a name`,
		"=arn:aws:iam::1:role/r":           `"" is not a name`,
		"../pics=arn:x":                    `"../pics" is not a name`,
		".pics=arn:x":                      `".pics" is not a name`,
		"a/b=arn:x":                        `"a/b" is not a name`,
		strings.Repeat("a", 64):            "is not a name",
		"arn:aws:iam::1:role/r":            "want NAME=ARN",
		"pics=":                            "no ARN after the =",
		"pics=,optional":                   "no ARN",
		"pics=arn:x,external-id=":          "external-id is empty",
		"pics=arn:x,duration=1 hour":       `"1 hour" is not a duration`,
		"own,external-id=hush":             "external-id is a setting of a role that is assumed",
		"pics=arn:x,duration=,optional":    "duration is empty",
		"pics=arn:x,optional,optional":     "optional is set twice",
		"pics=arn:x,optional=true":         "optional takes no value",
		"pics=arn:x,b=c":                   `unknown setting "b"; known are external-id, session-name, duration, source-identity, tags, optional`,
		"pics=arn:x,external-id=ab,hush=c": "the setting after external-id is unknown",
		"external-id=hush":                 "external-id is a setting, not a name",
	} {
		_, err := parseNamed(flag)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--role ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v; want %q", flag, err, want)
		}
	}
	if _, err := rolesetting.ParseAllNamed([]string{"pics=arn:x", "own", "Pics=arn:y"}); err == nil || !strings.Contains(err.Error(), `the name "Pics" is taken`) {
		t.Errorf("a name twice: %v", err)
	}
}

// Whatever is given: no panic, a mistake is wrong usage that does not print the
// external id, and every value can be written with escapes.
func FuzzRoleSetting(f *testing.F) {
	f.Add(someRole, "a,b=c", "batch", "30m", "team", "pics,x")
	f.Add("own", "", "", "12h", "", "")
	f.Add(someRole+",tags=a=b", "x%", "%2C", "1", "k;", "=")
	f.Add(someRole+",optional", "hush", "a", "-9223372036854775808ns", "aws:", "\x00")
	f.Fuzz(func(t *testing.T, arn, external, session, duration, key, value string) {
		const secret = "hush-hush"
		raw := arn + ",external-id=" + secret + external + ",session-name=" + session + ",duration=" + duration + ",tags=" + key + "=" + value
		for _, named := range []bool{false, true} {
			var err error
			if named {
				_, err = parseNamed("pics=" + raw)
			} else {
				_, err = rolesetting.Parse(raw)
			}
			if err == nil {
				continue
			}
			if !strings.HasPrefix(err.Error(), "--role ") {
				t.Errorf("%q: %v does not name the flag", raw, err)
			}
			if strings.Contains(err.Error(), secret) && !strings.Contains(arn+session+duration+key+value, secret) {
				t.Errorf("%q: the external id is printed: %v", raw, err)
			}
		}
		escaped := escape(arn) + ",external-id=" + escape(external) + ",session-name=" + escape(session) + ",tags=" + escape(key) + "=" + escape(value)
		got, err := rolesetting.Parse(escaped)
		if err != nil {
			return // a rule is broken
		}
		want := credentials.Role{ARN: strings.TrimSpace(arn), ExternalID: external, SessionName: session, Tags: map[string]string{key: value}}
		if got.Own || fields(got.Role) != fields(want) {
			t.Errorf("%q: %q, want %q", escaped, fields(got.Role), fields(want))
		}
	})
}

// escape writes every byte but letters and digits as %XX.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
