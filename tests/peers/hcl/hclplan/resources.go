package main

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// resource is the one instance, or with for_each all of them by their keys.
func (c *configuration) resource(address string) (cty.Value, error) {
	block := c.resources[address]
	if block == nil {
		return cty.NilVal, fmt.Errorf("%s is not declared", address)
	}
	return c.value(address, func() (cty.Value, error) {
		c.said[address] = scope{}
		if attribute := block.Body.Attributes["for_each"]; attribute != nil {
			return c.instances(address, block, attribute.Expr)
		}
		return c.instance(address, block, "", nil)
	})
}

func (c *configuration) instances(address string, block *hclsyntax.Block, over hcl.Expression) (cty.Value, error) {
	keys, err := c.evaluate(over, nil)
	if err != nil {
		return cty.NilVal, err
	}
	kind := keys.Type()
	if !(kind.IsObjectType() || kind.IsMapType() || kind.IsSetType()) {
		return cty.NilVal, fmt.Errorf("%s: for_each takes a map or a set, not %s", over.Range(), kind.FriendlyName())
	}
	made := scope{}
	for iterator := keys.ElementIterator(); iterator.Next(); {
		key, value := iterator.Element()
		if kind.IsSetType() {
			key = value
		}
		name := key.AsString()
		each := cty.ObjectVal(scope{"key": key, "value": value})
		if made[name], err = c.instance(address, block, name, scope{"each": each}); err != nil {
			return cty.NilVal, fmt.Errorf("[%s]: %w", name, err)
		}
	}
	return cty.ObjectVal(made), nil
}

// instance has what is said of it, and of what only the provider knows a placeholder; key "" is of the only one.
func (c *configuration) instance(address string, block *hclsyntax.Block, key string, inner scope) (cty.Value, error) {
	said, err := c.body(block.Body, inner)
	if err != nil {
		return cty.NilVal, err
	}
	c.said[address][key] = cty.ObjectVal(said)
	name := address
	if key != "" {
		name = fmt.Sprintf("%s[%s]", address, key)
	}
	members := scope{}
	for _, attribute := range c.given.Attributes[kindOf(address)] {
		members[attribute] = cty.StringVal(name + "." + attribute)
	}
	if text, there := c.given.Data[strings.TrimPrefix(address, "data.")]; there {
		known, err := decoded(text)
		if err != nil {
			return cty.NilVal, err
		}
		for attribute, value := range known.AsValueMap() {
			members[attribute] = value
		}
	}
	for attribute, value := range said {
		members[attribute] = value
	}
	return cty.ObjectVal(members), nil
}

// kindOf is the provider's name of a resource, of a data source with "data." before it.
func kindOf(address string) string {
	return address[:strings.LastIndex(address, ".")]
}

// body is a block's arguments; nested blocks of a type are a list.
func (c *configuration) body(body *hclsyntax.Body, inner scope) (scope, error) {
	members := scope{}
	for name, attribute := range body.Attributes {
		if name == "for_each" {
			continue
		}
		value, err := c.evaluate(attribute.Expr, inner)
		if err != nil {
			return nil, err
		}
		if name != "depends_on" {
			members[name] = value
		}
	}
	nested := map[string][]cty.Value{}
	for _, block := range body.Blocks {
		if block.Type == "lifecycle" {
			if err := c.hold(block.Body.Blocks, "precondition", inner); err != nil {
				return nil, err
			}
		}
		found, err := c.body(block.Body, inner)
		if err != nil {
			return nil, err
		}
		nested[block.Type] = append(nested[block.Type], cty.ObjectVal(found))
	}
	for name, values := range nested {
		members[name] = cty.TupleVal(values)
	}
	return members, nil
}
