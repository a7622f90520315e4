package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

type scope = map[string]cty.Value

// evaluate gives the value of an expression; inner has what only it sees (`each`, `self`).
func (c *configuration) evaluate(expression hcl.Expression, inner scope) (cty.Value, error) {
	seen, err := c.seen(expression, inner)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", expression.Range(), err)
	}
	value, faults := expression.Value(&hcl.EvalContext{Variables: seen, Functions: functions})
	if faults.HasErrors() {
		return cty.NilVal, faults
	}
	return value, nil
}

// seen is what an expression refers to, and nothing else.
func (c *configuration) seen(expression hcl.Expression, inner scope) (scope, error) {
	groups := map[string]scope{}
	for _, traversal := range expression.Variables() {
		path, value, err := c.referred(traversal, inner)
		if err != nil {
			return nil, err
		}
		if groups[path[0]] == nil {
			groups[path[0]] = scope{}
		}
		switch len(path) {
		case 1:
			groups[path[0]] = value.AsValueMap()
		case 2:
			groups[path[0]][path[1]] = value
		case 3:
			kinds := scope{}
			if there, ok := groups[path[0]][path[1]]; ok {
				kinds = there.AsValueMap()
			}
			kinds[path[2]] = value
			groups[path[0]][path[1]] = cty.ObjectVal(kinds)
		}
	}
	seen := scope{}
	for name, members := range groups {
		seen[name] = cty.ObjectVal(members)
	}
	return seen, nil
}

// referred is what a traversal begins with: its first one, two or three names, and the value there.
func (c *configuration) referred(traversal hcl.Traversal, inner scope) ([]string, cty.Value, error) {
	names := namesOf(traversal)
	if value, there := inner[names[0]]; there {
		return names[:1], value, nil
	}
	wanted := 2
	if names[0] == "data" {
		wanted = 3
	}
	if len(names) < wanted {
		return nil, cty.NilVal, fmt.Errorf("what is %s?", names[0])
	}
	names = names[:wanted]
	var value cty.Value
	var err error
	switch names[0] {
	case "var":
		value, err = c.variable(names[1])
	case "local":
		value, err = c.local(names[1])
	case "data":
		value, err = c.resource("data." + names[1] + "." + names[2])
	default:
		value, err = c.resource(names[0] + "." + names[1])
	}
	return names, value, err
}

func namesOf(traversal hcl.Traversal) []string {
	names := []string{}
	for _, step := range traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, step.Name)
		case hcl.TraverseAttr:
			names = append(names, step.Name)
		default:
			return names
		}
	}
	return names
}

func (c *configuration) variable(name string) (cty.Value, error) {
	block := c.variables[name]
	if block == nil {
		return cty.NilVal, fmt.Errorf("var.%s is not declared", name)
	}
	return c.value("var."+name, func() (cty.Value, error) {
		value, err := c.givenTo(name, block)
		if err != nil {
			return cty.NilVal, fmt.Errorf("var.%s: %w", name, err)
		}
		c.values["var."+name] = value // its validation looks at it
		if err := c.validated(block); err != nil {
			delete(c.values, "var."+name)
			return cty.NilVal, fmt.Errorf("var.%s: %w", name, err)
		}
		return value, nil
	})
}

func (c *configuration) givenTo(name string, block *hclsyntax.Block) (cty.Value, error) {
	kind, defaults, faults := typeexpr.TypeConstraintWithDefaults(block.Body.Attributes["type"].Expr)
	if faults.HasErrors() {
		return cty.NilVal, faults
	}
	var value cty.Value
	var err error
	if given, there := c.values["given."+name]; there {
		value = given
	} else if attribute := block.Body.Attributes["default"]; attribute != nil {
		value, err = c.evaluate(attribute.Expr, nil)
	} else {
		err = fmt.Errorf("is not given")
	}
	if err != nil {
		return cty.NilVal, err
	}
	if defaults != nil && !value.IsNull() {
		value = defaults.Apply(value)
	}
	return converted(value, kind)
}

// validated asks the conditions of `validation` and `precondition` blocks.
func (c *configuration) validated(block *hclsyntax.Block) error {
	return c.hold(block.Body.Blocks, "validation", nil)
}

func (c *configuration) hold(blocks hclsyntax.Blocks, kind string, inner scope) error {
	for _, block := range blocks {
		if block.Type != kind {
			continue
		}
		holds, err := c.evaluate(block.Body.Attributes["condition"].Expr, inner)
		if err != nil {
			return err
		}
		message, err := c.evaluate(block.Body.Attributes["error_message"].Expr, inner)
		if err != nil {
			return err
		}
		if !holds.RawEquals(cty.True) {
			return fmt.Errorf("%s: %s", block.DefRange(), message.AsString())
		}
	}
	return nil
}
