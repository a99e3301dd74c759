package words

import (
	"syscall"
	"testing"

	"golang.org/x/text/language"
)

func TestIn(t *testing.T) {
	for name, want := range map[string]*Language{
		"en": English, "en_GB": English, "zh": Chinese, "zh_CN": Chinese, "zh-Hans-SG": Chinese, "zh_TW": Chinese, "zh_HK": Chinese,
		"de_DE": English, "ja_JP": English, "C": English, "POSIX": English, "": English,
	} {
		if got := In(language.Make(name)); got != want {
			t.Errorf("%q: %v", name, got.Tag)
		}
	}
}

func TestSprintf(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{Chinese.Sprintf("rawnc listens on port %d", 8113), "rawnc 正在监听端口 8113"},
		{Chinese.Sprintf("the system refused to send it, and nothing crossed: %s", syscall.EPERM), "操作系统拒绝发送它，报文段没有发出：操作不允许"},
		{Chinese.Sprintf("never said %d", 1000), "never said 1000"},
		{English.Sprintf("rawnc listens on port %d", 8113), "rawnc listens on port 8113"},
		{Chinese.Printer().Sprintf("%d bytes", 64256), "64,256 字节"},
		{English.Printer().Sprintf("%d bytes", 64256), "64,256 bytes"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
