package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/declare"
	"github.com/weirstream/weir/protocol"
)

func (a *app) apply() *cobra.Command {
	c := a.client(&cobra.Command{
		Use:   "apply",
		Short: "Make basins and streams be as a file says",
		Long: `Make basins and streams be as a resource spec says (docs/declarative.md): what is missing is created, of
what is there the configuration is replaced, and what the file leaves out of it goes back to its
default. Nothing is ever deleted. Items are taken in the order of the file; the first failure ends it.

The whole file is checked first, and everything that is wrong with it is reported. --dry-run shows what
would be done: + create, ~ change, = nothing; with each setting.`,
		Example: `  weir apply -f resources.json --dry-run
  weir apply -f resources.json
  weir apply --schema > resources.schema.json`,
		Args: atMost(0),
	})
	file := c.Flags().StringP("file", "f", "", "resource spec; - is standard input")
	dryRun := c.Flags().Bool("dry-run", false, "print what would be done, and do nothing")
	schema := c.Flags().Bool("schema", false, "print the JSON schema of the file, and exit")
	verb := a.verb(func([]string) (call, error) {
		if *file == "" {
			return nil, usagef("flag --file is missing")
		}
		res, err := a.readSpec(*file)
		if err != nil {
			return nil, err
		}
		if *dryRun {
			return a.planSpec(res), nil
		}
		return a.applySpec(res), nil
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !*schema {
			return verb(cmd, args)
		}
		if *file != "" || *dryRun {
			return usagef("--schema goes alone, without --file and --dry-run")
		}
		a.ran = true
		return a.printf("%s", declare.Schema())
	}
	return c
}

// readSpec reads and checks a resource spec; a fault in it is a mistake of the caller.
func (a *app) readSpec(path string) (declare.Resources, error) {
	var data []byte
	var err error
	if path == "-" {
		path = "standard input"
		data, err = io.ReadAll(a.env.Stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return declare.Resources{}, &usageError{err}
	}
	res, err := declare.Parse(data)
	if err != nil {
		return declare.Resources{}, usagef("%s:\n%w", path, err)
	}
	return res, nil
}

// resultWords name the outcome for an item.
var resultWords = map[protocol.ProvisionResult]string{
	protocol.ProvisionCreated: "created", protocol.ProvisionUpdated: "updated", protocol.ProvisionNoop: "unchanged",
}

func (a *app) applySpec(res declare.Resources) call {
	return func(ctx context.Context, svc protocol.Service) error {
		var printed error
		err := declare.Apply(ctx, svc, res, func(item declare.Item, result protocol.ProvisionResult) {
			if a.json {
				printed = a.printJSON(appliedJSON{item.String(), result})
			} else {
				printed = a.printf("%s %s\n", resultWords[result], item)
			}
		})
		if err != nil {
			return err
		}
		return printed
	}
}

type appliedJSON struct {
	Resource string                   `json:"resource"`
	Result   protocol.ProvisionResult `json:"result"`
}

// actionSigns stand before an item of a plan.
var actionSigns = map[declare.Action]string{declare.Create: "+", declare.Ensure: "~", declare.Unchanged: "="}

func (a *app) planSpec(res declare.Resources) call {
	return func(ctx context.Context, svc protocol.Service) error {
		steps, err := declare.Plan(ctx, svc, res)
		if err != nil {
			return err
		}
		for _, s := range steps {
			if err := a.printStep(s); err != nil {
				return err
			}
		}
		return nil
	}
}

type stepJSON struct {
	Resource string           `json:"resource"`
	Action   declare.Action   `json:"action"`
	Changes  []declare.Change `json:"changes"`
}

func (a *app) printStep(s declare.Step) error {
	if a.json {
		return a.printJSON(stepJSON{s.Item.String(), s.Action, s.Changes})
	}
	if err := a.printf("%s %s\n", actionSigns[s.Action], s.Item); err != nil {
		return err
	}
	for _, c := range s.Changes {
		line := fmt.Sprintf("    %s: %s -> %s\n", c.Path, valueText(c.Left), valueText(c.Right))
		if s.Action == declare.Create {
			line = fmt.Sprintf("    %s: %s\n", c.Path, valueText(c.Right))
		}
		if err := a.printf("%s", line); err != nil {
			return err
		}
	}
	return nil
}

// valueText writes a setting; a dash stands for one that is not set.
func valueText(v any) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}
