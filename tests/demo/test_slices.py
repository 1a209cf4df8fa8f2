from demo import slices
from demo.country import Country, Rooms
from localfed import ClusterSpec


def test_nodes_hold_what_the_rooms_say(country: Country, small: Rooms) -> None:
    for site in country.sites:
        shapes = slices.shapes(country, site, small)
        ClusterSpec(site, nodes=shapes)  # refuses two nodes of one name
        for shape in shapes:
            room = small[site, shape.name_prefix]
            assert (shape.count, shape.cards or int(shape.cpu)) == (room.nodes, room.units_per_node)


def test_nodes_of_a_class_of_cores_carry_its_labels(country: Country, small: Rooms) -> None:
    labels = {s.name_prefix: dict(s.labels) for s in slices.shapes(country, "yrd-demo-dc1", small)}
    assert labels["cpu-x86"] == {"suanli.io/pool": "general"}
    assert labels["nvidia-a100-80g"] == {}
