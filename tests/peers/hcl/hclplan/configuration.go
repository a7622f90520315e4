package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// configuration is every block, by its address, and what was worked out of it so far.
type configuration struct {
	given     input
	variables map[string]*hclsyntax.Block
	locals    map[string]*hclsyntax.Attribute
	resources map[string]*hclsyntax.Block // data sources as data.TYPE.NAME
	outputs   map[string]*hclsyntax.Block
	providers []*hclsyntax.Block
	values    map[string]cty.Value
	working   map[string]bool
	said      map[string]scope // of resources: the arguments of each instance by its key
}

func parse(given input) (*configuration, error) {
	found := &configuration{
		given: given, variables: map[string]*hclsyntax.Block{}, locals: map[string]*hclsyntax.Attribute{},
		resources: map[string]*hclsyntax.Block{}, outputs: map[string]*hclsyntax.Block{},
		values: map[string]cty.Value{}, working: map[string]bool{}, said: map[string]scope{},
	}
	for name, text := range given.Files {
		file, faults := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
		if faults.HasErrors() {
			return nil, faults
		}
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			if err := found.add(block); err != nil {
				return nil, err
			}
		}
	}
	return found, found.take(given)
}

// take keeps the values that are given to variables.
func (c *configuration) take(given input) error {
	file, faults := hclsyntax.ParseConfig([]byte(given.Values), "tfvars", hcl.InitialPos)
	if faults.HasErrors() {
		return faults
	}
	for name, attribute := range file.Body.(*hclsyntax.Body).Attributes {
		value, faults := attribute.Expr.Value(nil)
		if faults.HasErrors() {
			return faults
		}
		c.values["given."+name] = value
	}
	for name, text := range given.Variables {
		value, err := decoded(text)
		if err != nil {
			return err
		}
		c.values["given."+name] = value
	}
	for address := range c.values {
		if name := strings.TrimPrefix(address, "given."); c.variables[name] == nil {
			return fmt.Errorf("var.%s is given and not declared", name)
		}
	}
	return nil
}

func (c *configuration) add(block *hclsyntax.Block) error {
	switch block.Type {
	case "variable":
		return once(c.variables, block.Labels[0], block, block.DefRange())
	case "output":
		return once(c.outputs, block.Labels[0], block, block.DefRange())
	case "resource":
		return once(c.resources, block.Labels[0]+"."+block.Labels[1], block, block.DefRange())
	case "data":
		return once(c.resources, "data."+block.Labels[0]+"."+block.Labels[1], block, block.DefRange())
	case "locals":
		for name, attribute := range block.Body.Attributes {
			if err := once(c.locals, name, attribute, attribute.SrcRange); err != nil {
				return err
			}
		}
	case "provider":
		c.providers = append(c.providers, block)
	case "terraform":
	default:
		return fmt.Errorf("%s: what is %q?", block.DefRange(), block.Type)
	}
	return nil
}

func once[T any](into map[string]T, name string, value T, at hcl.Range) error {
	if _, there := into[name]; there {
		return fmt.Errorf("%s: %s is there twice", at, name)
	}
	into[name] = value
	return nil
}

// value works out what stands at an address, once.
func (c *configuration) value(address string, work func() (cty.Value, error)) (cty.Value, error) {
	if value, there := c.values[address]; there {
		return value, nil
	}
	if c.working[address] {
		return cty.NilVal, fmt.Errorf("%s depends on itself", address)
	}
	c.working[address] = true
	defer delete(c.working, address)
	value, err := work()
	if err == nil {
		c.values[address] = value
	}
	return value, err
}

func (c *configuration) local(name string) (cty.Value, error) {
	attribute := c.locals[name]
	if attribute == nil {
		return cty.NilVal, fmt.Errorf("local.%s is not declared", name)
	}
	return c.value("local."+name, func() (cty.Value, error) { return c.evaluate(attribute.Expr, nil) })
}

func (c *configuration) allLocals() (map[string]cty.Value, error) {
	return each(c.locals, c.local)
}

func (c *configuration) allOutputs() (map[string]cty.Value, error) {
	for _, block := range c.providers {
		if _, err := c.body(block.Body, nil); err != nil {
			return nil, err
		}
	}
	return each(c.outputs, func(name string) (cty.Value, error) {
		return c.evaluate(c.outputs[name].Body.Attributes["value"].Expr, nil)
	})
}

// allResources are the arguments alone: address to key to argument.
func (c *configuration) allResources() (map[string]cty.Value, error) {
	return each(c.resources, func(address string) (cty.Value, error) {
		_, err := c.resource(address)
		return cty.ObjectVal(c.said[address]), err
	})
}

// unusedNames are what was never asked for.
func (c *configuration) unusedNames() []string {
	unused := []string{}
	for name := range c.variables {
		if _, used := c.values["var."+name]; !used {
			unused = append(unused, "var."+name)
		}
	}
	sort.Strings(unused)
	return unused
}

func each[T any](from map[string]T, work func(string) (cty.Value, error)) (map[string]cty.Value, error) {
	values := map[string]cty.Value{}
	for name := range from {
		value, err := work(name)
		if err != nil {
			return values, fmt.Errorf("%s: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

func decoded(text json.RawMessage) (cty.Value, error) {
	kind, err := ctyjson.ImpliedType(text)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(text, kind)
}

func converted(value cty.Value, kind cty.Type) (cty.Value, error) {
	return convert.Convert(value, kind)
}
