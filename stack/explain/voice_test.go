package explain

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"rawnc/stack"
)

// A voice says what a message.Printer would say, in any language, but that it
// leaves numbers as they are.
func TestVoiceSaysWhatThePrinterSays(t *testing.T) {
	for _, text := range [][2]string{
		{"Seq %v = the Next of %v", "the Next of %[2]v is %[1]v, 100 %%"}, // the other way round
		{"the client", "kunde"},
		{"%s sent %d bytes", "%[2]d from %[1]s, which is %[1]s"},
		{"%d and no more", "%08d"}, // more than a voice does itself
	} {
		if err := message.SetString(language.Danish, text[0], text[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, lang := range []language.Tag{language.English, language.Chinese, language.Danish, language.Hindi} {
		voice, printer := newVoice(message.NewPrinter(lang)), message.NewPrinter(lang)
		translated := printer.Sprintf("the client")
		for _, test := range []struct {
			format      string
			args, plain []any // for us, and as the printer needs them
		}{
			{"Seq %v = the Next of %v", []any{plain(4216076034), frame(12)}, []any{"4216076034", "#12"}},
			{"%s sent %d bytes", []any{word("the client"), 1234567}, []any{translated, digits(1234567)}},
			{"%s sent %d bytes", []any{"a %d \"name\"", 999}, []any{"a %d \"name\"", 999}},
			{"%d and no more", []any{-1000}, []any{digits(-1000)}},
			{"%d and no more", []any{math.MinInt}, []any{digits(math.MinInt)}},
			{"%d and %d and %v", []any{0, 1000, 100_000}, []any{digits(0), digits(1000), digits(100_000)}},
			{"after %v", []any{elapsed(1500 * time.Microsecond)}, []any{"1.500 ms"}},
			{"after %v", []any{elapsed(-2 * time.Second)}, []any{"-2.000 s"}},
			{"%v, %v", []any{stack.StateSynSent, netip.MustParseAddrPort("[::1]:80")}, []any{"SYN-SENT", "[::1]:80"}},
			{"%s of %s", []any{phrase(Meaning, "%s of it", octets(1)), octets(2000)}, []any{"1 byte of it", printer.Sprintf("%d bytes", digits(2000))}},
			{"nothing", nil, nil},
		} {
			want := printer.Sprintf(test.format, test.plain...)
			for range 2 { // the second time from memory
				if got := voice.say(phrase(Meaning, test.format, test.args...)); got != want {
					t.Errorf("%v: %q, want %q", lang, got, want)
				}
			}
		}
	}
}

// Two formats may meet in the same place of the voice's short memory.
func TestVoiceTellsFormatsApart(t *testing.T) {
	v := newVoice(message.NewPrinter(language.English))
	for i := range 2000 {
		if want, got := fmt.Sprintf("a%db", i), v.say(phrase(Meaning, fmt.Sprintf("a%db", i))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Numbers are as they are in the segment.
func TestVoiceSetsNoThousandsApart(t *testing.T) {
	v := newVoice(message.NewPrinter(language.English))
	if got, want := v.say(phrase(Meaning, "%d = %s", 1048576, octets(65160))), "1048576 = 65160 bytes"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
