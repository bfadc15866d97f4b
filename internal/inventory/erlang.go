package inventory

import (
	"io"
	"path"
	"regexp"
	"strings"
)

type erlang struct{}

// NewErlang returns the detector of applications of Erlang and Elixir: the
// NAME.app in the ebin folder of each
// (https://www.erlang.org/doc/apps/kernel/app.html). Those of Erlang/OTP and of
// Elixir themselves are part of these, and no packages of Hex.
func NewErlang() Detector { return erlang{} }

func (erlang) Name() string          { return "erlang" }
func (erlang) Version() int          { return 1 }
func (erlang) Directories() []string { return nil }

func (erlang) Wants(p string) bool {
	folder, name, ok := strings.Cut(p, "/ebin/")
	if !ok {
		return false
	}
	name, ok = strings.CutSuffix(name, ".app")
	folder = path.Base(folder)
	return ok && !ofErlang[name] && (folder == name || strings.HasPrefix(folder, name+"-"))
}

// ofErlang are the applications that come with Erlang/OTP and with Elixir.
var ofErlang = setOf(strings.Fields(`asn1 common_test compiler crypto debugger dialyzer diameter edoc eldap erl_docgen erl_interface erts et eunit ftp inets
	jinterface kernel megaco mnesia observer odbc os_mon parsetools percept public_key reltool runtime_tools sasl snmp ssh ssl stdlib syntax_tools tftp tools wx xmerl
	eex elixir ex_unit iex logger mix`))

var (
	erlangName = regexp.MustCompile(`^\s*(?:%.*\s+)*\{\s*application\s*,\s*'?([a-z][\w@]*)'?`)
	erlangVsn  = regexp.MustCompile(`\{\s*vsn\s*,\s*"([^"\n]*)"`)
)

func (erlang) Detect(p string, c *Content) (File, []Warning, error) {
	const most = 1 << 20
	found := newFindings(p, "erlang")
	text, err := io.ReadAll(io.LimitReader(c, most))
	if err != nil {
		return found.result(err)
	}
	name, version := erlangName.FindSubmatch(text), erlangVsn.FindSubmatch(text)
	switch {
	case name == nil:
		found.warn(Malformed, "the file does not name an application")
	case version == nil || !isToken(string(version[1])):
		found.warn(Malformed, "application %q has no version", clip(string(name[1])))
	default:
		found.addProved(Package{Type: "hex", Name: string(name[1]), Version: string(version[1])}, "vsn")
	}
	return found.result(nil)
}
