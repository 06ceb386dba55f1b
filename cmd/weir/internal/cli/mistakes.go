package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// explainMistakes makes the errors of a mistyped command or flag say which one was probably meant.
func explainMistakes(root *cobra.Command) {
	root.SetFlagErrorFunc(unknownFlag)
	root.InitDefaultHelpCmd()
	for _, group := range append(root.Commands(), root) {
		if !group.HasSubCommands() {
			continue
		}
		group.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		}
		group.SuggestionsMinimumDistance = 2
	}
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Long = "Show the help of weir or of a command."
		// The one of cobra prints the help of the root for a command that does not exist, and reports success.
		c.Run = nil
		c.RunE = func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(topic, rest[0])
			}
			topic.InitDefaultHelpFlag()
			topic.InitDefaultVersionFlag()
			return topic.Help()
		}
	}
}

func unknownCommand(parent *cobra.Command, name string) error {
	return usagef("unknown command %q for %q%s", name, parent.CommandPath(), didYouMean("", parent.SuggestionsFor(name)))
}

func unknownFlag(cmd *cobra.Command, err error) error {
	missing, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || missing.GetSpecifiedShortnames() != "" {
		return err
	}
	// Suggestions are something that cobra has for commands only.
	var names cobra.Command
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	names.SuggestionsMinimumDistance = 2
	return fmt.Errorf("%w%s", err, didYouMean("--", names.SuggestionsFor(missing.GetSpecifiedName())))
}

// didYouMean is the end of an error about a name, "" without suggestions.
func didYouMean(dashes string, suggestions []string) string {
	if len(suggestions) == 0 {
		return ""
	}
	for i, s := range suggestions {
		suggestions[i] = dashes + s
	}
	return "; did you mean " + strings.Join(suggestions, " or ") + "?"
}

var exclusive = regexp.MustCompile(`^if any flags in the group \[.*\] are set none of the others can be; \[(.*)\] were all set$`)

// inPlainWords puts cobra's words for flags that exclude each other into ours.
func inPlainWords(err error) error {
	if m := exclusive.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("--%s exclude each other: leave one out", strings.Join(strings.Fields(m[1]), " and --"))
	}
	return err
}
