package main

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

func newConfig(a *app) *cobra.Command {
	return group("config", "Work with the configuration file", newConfigCheck(a), newConfigExample(a), newConfigShow(a))
}

func newConfigExample(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a commented configuration that works",
		Example: "  supstream config example > supstream.yaml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.stdout, configExample)
			return err
		},
	}
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read configuration, catalogue and agreements, and say whether they fit",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			cat, err := a.catalog(c.Catalog)
			if err != nil {
				return err
			}
			if _, err := a.agreements(c.Agreements, cat); err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, "configuration ok")
			return err
		},
	}
}

func newConfigShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print every setting in effect, without secrets",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			for _, s := range settings(reflect.ValueOf(*c), "") {
				fmt.Fprintf(a.stdout, "%s: %s\n", s.key, s.value)
			}
			return nil
		},
	}
}

// setting is one key of the configuration with its value as a person would write it.
type setting struct{ key, value string }

// settings lists a struct of the configuration in the order of its fields, keys joined by dots.
func settings(v reflect.Value, prefix string) []setting {
	var out []setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key := prefix + field.Tag.Get("yaml")
		switch value := v.Field(i); value.Kind() {
		case reflect.Struct:
			out = append(out, settings(value, key+".")...)
		case reflect.Slice:
			out = append(out, setting{key, "[" + strings.Join(value.Interface().([]string), ", ") + "]"})
		default:
			out = append(out, setting{key, cmp.Or(fmt.Sprint(value.Interface()), `""`)})
		}
	}
	return out
}
