"""Tables of panels as Grafana's JSON."""

from __future__ import annotations

import json
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from dashboards.panels import STATES, Dashboard, Look, Panel, Query

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHTS = {Look.NUMBERS: 4, Look.STATES: 4}
_PAGE = 24
_REFERENCES = "ABCDEFGH"


def to_json(dashboard: Dashboard) -> str:
    """Return the file that Grafana imports."""
    builder = (
        builders.Dashboard(dashboard.title)
        .uid(f"gangplank-{dashboard.name}")
        .description(dashboard.description)
        .tags(["gangplank", "keras"])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .editable()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Gangplank")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["gangplank"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in _variables(dashboard):
        builder.with_variable(variable)
    number = y = 0
    for title, panels in dashboard.rows.items():
        builder.with_row(builders.Row(title).grid_pos(models.GridPos(h=1, w=_PAGE, x=0, y=y)))
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > _PAGE:
                x, y, height = 0, y + height, 0
            number += 1
            tall = _HEIGHTS.get(panel.look, 8)
            place = models.GridPos(h=tall, w=panel.width, x=x, y=y)
            builder.with_panel(_panel(panel).id(number).grid_pos(place))
            x, height = x + panel.width, max(height, tall)
        y += height
    written: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return json.dumps(written, indent=2, sort_keys=True) + "\n"


def _variables(dashboard: Dashboard) -> list[Any]:
    source = builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
    jobs = 'label_values({__name__=~"gangplank_.+"}, job)'
    return [source, _label("job", jobs), _label("model", dashboard.models)]


def _label(name: str, query: str) -> Any:  # noqa: ANN401 - builders are of many types
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .query({"query": query, "refId": name})
        .datasource(_SOURCE)
        .multi(True)
        .include_all(True)
        .current(models.VariableOption(text="All", value="$__all", selected=True))
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> Any:  # noqa: ANN401
    builder = _BUILDERS[panel.look](panel)
    builder.title(panel.title).description(panel.description).datasource(_SOURCE).unit(panel.unit)
    for reference, query in zip(_REFERENCES, panel.queries, strict=False):
        builder.with_target(_target(query, reference, panel.look))
    if panel.red_from is not None:
        steps = [models.Threshold(value=None, color="green"), models.Threshold(value=panel.red_from, color="red")]
        builder.thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    return builder


def _target(query: Query, reference: str, look: Look) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(reference).datasource(_SOURCE)
    target.legend_format(query.legend)
    if look in (Look.NUMBERS, Look.LABELS):
        target.instant()
    else:
        target.range()
    if look is Look.LABELS:
        target.format(prometheus_models.PromQueryFormat.TABLE)
    if look is Look.HEATMAP:
        target.format(prometheus_models.PromQueryFormat.HEATMAP)
    return target


def _lines(panel: Panel) -> Any:  # noqa: ANN401
    legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    builder = (
        timeseries.Panel()
        .show_points(common.VisibilityMode.AUTO)
        .legend(legend.display_mode(common.LegendDisplayMode.LIST).calcs([]))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if panel.red_from is not None:
        builder.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE)
        )
    return builder


def _numbers(panel: Panel) -> Any:  # noqa: ANN401
    mode = common.BigValueColorMode.NONE if panel.red_from is None else common.BigValueColorMode.VALUE
    return (
        stat.Panel()
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(mode)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    )


def _states(panel: Panel) -> Any:  # noqa: ANN401, ARG001 - all states look alike
    options = {
        str(value): models.ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in STATES.items()
    }
    return (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .mappings([models.ValueMap(options=options)])
    )


def _heatmap(panel: Panel) -> Any:  # noqa: ANN401
    axis = heatmap.YAxisConfig().unit(panel.unit)
    return (
        heatmap.Panel()
        .calculate(False)
        .y_axis(axis)
        .color(heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
    )


def _labels(panel: Panel) -> Any:  # noqa: ANN401, ARG001
    hidden = {"excludeByName": {"Time": True, "Value": True}}
    return table.Panel().with_transformation(models.DataTransformerConfig(id_val="organize", options=hidden))


_BUILDERS = {
    Look.LINES: _lines,
    Look.NUMBERS: _numbers,
    Look.STATES: _states,
    Look.HEATMAP: _heatmap,
    Look.LABELS: _labels,
}
