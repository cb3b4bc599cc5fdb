package childenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/cmd/crossrole/internal/childenv"
)

// A default profile in ~/.aws with which the PHP SDK or boto 2 would act as
// another identity keeps the program from starting.
func TestIdentityInHome(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text, want string
	}{
		"nothing":             {"", "", ""},
		"region only":         {"config", "[default]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 20\n", ""},
		"another profile":     {"config", "[profile dev]\nrole_arn = arn:aws:iam::111122223333:role/dev\nsource_profile = default\n[default]\noutput=json\n", ""},
		"similar name":        {"credentials", "[default-dev]\naws_access_key_id = AKIA\n[dev default]\naws_access_key_id = AKIA\n", ""},
		"comment":             {"credentials", "[default]\n# aws_access_key_id = AKIA\n", ""},
		"keys":                {"credentials", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n", "aws_access_key_id"},
		"keys in config":      {"config", "[profile default]\nAWS_Access_Key_Id=AKIA\n", "aws_access_key_id"},
		"process":             {"config", "[default]\nregion = eu-west-1\n\ncredential_process = /bin/keys\n", "credential_process"},
		"web identity":        {"credentials", " [ default ] ; the pod's\nrole_arn: x\n", "role_arn"},
		"SSO":                 {"config", "[profile \"default\"]\r\nsso_session = corp\r\n", "sso_session"},
		"login":               {"config", "[default]\nlogin_session = x\n", "login_session"},
		"byte order mark":     {"config", "\ufeff[default]\nsource_profile = x\n", "source_profile"},
		"a line without end":  {"credentials", "[default]\naws_secret_access_key=x", "aws_secret_access_key"},
		"a line without LF":   {"credentials", strings.Repeat("x", 1<<20), "cannot be read"},
		"section after other": {"config", "[profile a]\nregion=x\n[default]\nsso_start_url = https://x\n", "sso_start_url"},
	} {
		home := t.TempDir()
		if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		if tt.file != "" {
			if err := os.WriteFile(filepath.Join(home, ".aws", tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := childenv.CheckHome(func(name string) string { return map[string]string{"HOME": home}[name] })
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), filepath.Join(home, ".aws", tt.file)) || !strings.Contains(err.Error(), "--keep-home-files")):
			t.Errorf("%s: %v; want %s, the file's name and the flag", name, err, tt.want)
		}
	}
}
