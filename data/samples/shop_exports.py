"""Some of the sample products as the exports of other shops: Shopify, Amazon, Magento, PrestaShop, Wix, Squarespace, BigCommerce.

Each has what is particular to its shop: products over several lines, image lists, variants, HTML, products that are not for sale.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from catalog_rows import CATALOG, Row

BY_SKU = {row.sku: row for row in CATALOG}
MUG, BOWL, TEAPOT, LAMP, STOOL = (BY_SKU[sku] for sku in ("HM-1001", "HM-1002", "HM-1004", "HM-1201", "HM-1203"))
MORE = "photos/dinner-plates.jpg"
Line = dict[str, str]


def table(columns: Sequence[str], lines: Sequence[Line], delimiter: str = ",") -> str:
    """A header, and a line for each of these; what a line does not have is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def slug(row: Row) -> str:
    return row.title.lower().replace(" ", "-")


def html(row: Row) -> str:
    return f"<p>{row.description}</p>\n<ul>\n<li>Made of {row.material}</li>\n</ul>"


def shopify_csv() -> str:
    """The newer columns, sorted in a spreadsheet: lines of one handle stand apart; a draft, a category without a type."""
    columns = (
        *(
            "Title",
            "URL handle",
            "Description",
            "Vendor",
            "Product category",
            "Type",
            "Tags",
            "Published on online store",
            "Status",
        ),
        *("SKU", "Option1 name", "Option1 value", "Price", "Product image URL", "Image position", "Gift card"),
    )

    def line(row: Row, **given: str) -> Line:
        return {"URL handle": slug(row)} | {name.replace("_", " "): text for name, text in given.items()}

    def lead(row: Row, **given: str) -> Line:
        main = {
            "Title": row.title,
            "Description": html(row),
            "Vendor": row.brand,
            "Status": "Active",
            "Price": row.price,
        }
        return line(row) | main | {name.replace("_", " "): text for name, text in given.items()}

    mug = {"Product category": "Home & Garden > Kitchen & Dining > Tableware > Mugs", "Tags": "Coming Soon, new"}
    return table(
        columns,
        [
            line(MUG, Option1_value="Two", SKU="'0012-2", Price="34.00"),
            lead(STOOL, Type="Furniture", SKU="0500", Product_image_URL=STOOL.image, Image_position="1"),
            line(MUG, Product_image_URL=MUG.image, Image_position="1.0"),
            lead(
                MUG,
                SKU="'0012-1",
                Option1_name="Pack",
                Option1_value="One",
                Product_image_URL=MORE,
                Image_position="2.0",
            )
            | mug,
            lead(LAMP, Type="Lighting") | {"Status": "Draft"},
        ],
    )


def amazon_txt() -> str:
    """Settings and labels above the row of field names; a parent with two children, one of which has an image of its own."""
    fields = {
        "feed_product_type": "Product Type",
        "item_sku": "Seller SKU",
        "brand_name": "Brand Name",
        "item_name": "Product Name",
        "standard_price": "Standard Price",
        "main_image_url": "Main Image URL",
        "other_image_url1": "Other Image URL1",
        "other_image_url2": "Other Image URL2",
        "parent_child": "Parentage",
        "parent_sku": "Parent SKU",
        "product_description": "Product Description",
        "generic_keywords": "Search Terms",
        "color_name": "Color",
    }
    settings = ["TemplateType=fptcustom", "Version=2021.0703", "Use ENGLISH to fill this template.", "", "", "Images"]
    lines = [
        ["mug", MUG.sku, MUG.brand, MUG.title, "", MUG.image, MORE, "", "parent", "", MUG.description, "mug clay", ""],
        ["mug", f"{MUG.sku}-C", MUG.brand, "", "18.00", "", "", "", "child", MUG.sku, "", "", "cream"],
        [
            "mug",
            f"{MUG.sku}-G",
            MUG.brand,
            f"{MUG.title}, green",
            "19.50",
            TEAPOT.image,
            "",
            "",
            "child",
            MUG.sku,
            "",
            "",
            "green",
        ],
        [
            "stool",
            STOOL.sku,
            STOOL.brand,
            STOOL.title,
            STOOL.price,
            STOOL.image,
            "",
            MORE,
            "",
            "",
            STOOL.description,
            "",
            "",
        ],
    ]
    rows = [settings, list(fields.values()), list(fields), *lines]
    width = len(fields)
    return "".join("\t".join([*row, *[""] * (width - len(row))]) + "\n" for row in rows)


def magento_csv() -> str:
    """A configurable with its variations, a translation of it for a store view, a disabled product."""
    columns = (
        *(
            "sku",
            "store_view_code",
            "attribute_set_code",
            "product_type",
            "categories",
            "product_websites",
            "name",
            "description",
        ),
        *("product_online", "visibility", "price", "url_key", "meta_keywords", "base_image", "additional_attributes"),
        *("additional_images", "configurable_variations"),
    )

    def line(row: Row, **given: str) -> Line:
        return {
            "sku": row.sku,
            "attribute_set_code": "Default",
            "product_type": "simple",
            "categories": f"Default Category/Home/{row.category},Default Category/New",
            "product_websites": "base",
            "name": row.title,
            "description": html(row),
            "product_online": "1",
            "visibility": "Catalog, Search",
            "price": f"{row.price}0000",
            "url_key": slug(row),
            "base_image": f"/{row.image}",
            "additional_attributes": f"manufacturer={row.brand},material={row.material}",
            **given,
        }

    variations = f"sku={MUG.sku}-C,color=cream|sku={MUG.sku}-G,color=green"
    images = {"additional_images": f"/{MUG.image},/{MORE}", "configurable_variations": variations}
    return table(
        columns,
        [
            line(MUG, product_type="configurable", meta_keywords="mug, clay", **images),
            {"sku": MUG.sku, "store_view_code": "de", "name": "Steinzeugbecher Düne"},
            line(STOOL),
            line(LAMP, product_online="2"),
        ],
    )


def prestashop_csv() -> str:
    """The importer's columns, parted by semicolons."""
    columns = (
        *(
            "Product ID",
            "Active (0/1)",
            "Name *",
            "Categories (x,y,z...)",
            "Price tax excluded",
            "Reference #",
            "Brand",
        ),
        *("Summary", "Description", "Tags (x,y,z...)", "Image URLs (x,y,z...)"),
    )
    lines = [
        {
            "Product ID": str(number),
            "Active (0/1)": active,
            "Name *": row.title,
            "Categories (x,y,z...)": f"Home,Home/{row.category}",
            "Price tax excluded": row.price,
            "Reference #": reference,
            "Brand": row.brand,
            "Summary": row.description,
            "Description": html(row),
            "Tags (x,y,z...)": f"{row.color},{row.material.split(',')[0]}",
            "Image URLs (x,y,z...)": images,
        }
        for number, (row, active, reference, images) in enumerate(
            [
                (MUG, "1", MUG.sku, f"{MUG.image},{MORE}"),
                (STOOL, "1", "", STOOL.image),
                (LAMP, "0", LAMP.sku, LAMP.image),
            ],
            11,
        )
    ]
    return table(columns, lines, ";")


def wix_csv() -> str:
    """The classic columns: a Product line, its Variant lines; a hidden product."""
    columns = (
        *(
            "handleId",
            "fieldType",
            "name",
            "description",
            "productImageUrl",
            "collection",
            "sku",
            "price",
            "surcharge",
            "visible",
        ),
        *("inventory", "productOptionName1", "productOptionType1", "productOptionDescription1", "brand"),
    )

    def line(row: Row, **given: str) -> Line:
        main = {
            "name": row.title,
            "description": html(row),
            "productImageUrl": row.image,
            "collection": f"{row.category};New",
        }
        state = {"price": row.price, "surcharge": "0", "visible": "true", "brand": row.brand}
        return {"handleId": f"product_{row.sku}", "fieldType": "Product", "sku": row.sku} | main | state | given

    def variant(row: Row, color: str, surcharge: str) -> Line:
        found = {"handleId": f"product_{row.sku}", "fieldType": "Variant", "sku": f"{row.sku}-{color[:1]}"}
        return found | {"surcharge": surcharge, "visible": "true", "productOptionDescription1": color}

    option = {
        "productOptionName1": "Glaze",
        "productOptionType1": "DROP_DOWN",
        "productOptionDescription1": "Cream;Green",
    }
    return table(
        columns,
        [
            line(MUG, productImageUrl=f"{MUG.image};{MORE}", **option),
            variant(MUG, "Cream", "0"),
            variant(MUG, "Green", "1.5"),
            line(STOOL),
            line(LAMP, visible="false"),
        ],
    )


def squarespace_csv() -> str:
    """Variants below their product, images parted by blanks; a hidden product."""
    columns = (
        *(
            "Product ID [Non Editable]",
            "Variant ID [Non Editable]",
            "Product Type [Non Editable]",
            "Product Page",
            "Product URL",
        ),
        *("Title", "Description", "SKU", "Option Name 1", "Option Value 1", "Price", "Sale Price", "On Sale", "Stock"),
        *("Categories", "Tags", "Visible", "Hosted Image URLs"),
    )

    def line(number: int, row: Row, **given: str) -> Line:
        return {
            "Product ID [Non Editable]": f"5e{number:022x}",
            "Product Type [Non Editable]": "PHYSICAL",
            "Product Page": "shop",
            "Product URL": slug(row),
            "Title": row.title,
            "Description": html(row),
            "SKU": row.sku,
            "Price": row.price,
            "Categories": f"/home/{row.category.lower()}, /new",
            "Tags": f"{row.color}, {row.material}",
            "Visible": "Yes",
            "Hosted Image URLs": row.image,
            **{name.replace("_", " "): text for name, text in given.items()},
        }

    return table(
        columns,
        [
            line(1, MUG, Option_Name_1="Glaze", Option_Value_1="Cream", Hosted_Image_URLs=f"{MUG.image} {MORE}"),
            {"SKU": f"{MUG.sku}-G", "Option Value 1": "Green", "Price": "19.50"},
            line(2, STOOL),
            line(3, LAMP, Visible="No"),
        ],
    )


def bigcommerce_csv() -> str:
    """The modern columns: Product, Variant and Image lines, an image that leads by being the thumbnail; a hidden product."""
    columns = (
        *(
            "Item",
            "ID",
            "Name",
            "Type",
            "SKU",
            "Options",
            "Inventory Tracking",
            "Price",
            "Brand ID",
            "Categories",
            "Description",
        ),
        *("Search Keywords", "Is Visible", "Variant Image URL", "Internal Image URL (Export)", "Image URL (Import)"),
        *("Image is Thumbnail", "Image Sort Order"),
    )

    def line(number: int, row: Row, **given: str) -> Line:
        return {
            "Item": "Product",
            "ID": str(number),
            "Name": row.title,
            "Type": "physical",
            "SKU": row.sku,
            "Price": row.price,
            "Categories": f"Home/{row.category};New",
            "Description": html(row),
            "Search Keywords": f"{row.color},{row.material}",
            "Is Visible": "TRUE",
            **{name.replace("_", " "): text for name, text in given.items()},
        }

    def variant(color: str, price: str) -> Line:
        options = f"Type=Rectangles|Name=Glaze|Value={color}"
        return {"Item": "Variant", "SKU": f"{MUG.sku}-{color[:1]}", "Options": options, "Price": price}

    def image(link: str, thumbnail: str, order: str) -> Line:
        return {
            "Item": "Image",
            "Internal Image URL (Export)": link,
            "Image is Thumbnail": thumbnail,
            "Image Sort Order": order,
        }

    return table(
        columns,
        [
            line(101, MUG),
            variant("Cream", "18.00"),
            variant("Green", "19.50"),
            image(MORE, "FALSE", "0"),
            image(MUG.image, "TRUE", "1"),
            line(102, STOOL),
            image(STOOL.image, "TRUE", "0"),
            line(103, LAMP, Is_Visible="FALSE"),
        ],
    )


ALL = {
    "shopify.csv": shopify_csv,
    "amazon.txt": amazon_txt,
    "magento.csv": magento_csv,
    "prestashop.csv": prestashop_csv,
    "wix.csv": wix_csv,
    "squarespace.csv": squarespace_csv,
    "bigcommerce.csv": bigcommerce_csv,
}
